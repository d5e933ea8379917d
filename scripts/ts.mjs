/**
 * Lets Node run the TypeScript of this repository as it stands, samples and child processes of tests included:
 * `node --import ./scripts/ts.mjs sample/01-ticket-shop/main.ts`.
 */
import { register } from 'node:module';

process.setSourceMapsEnabled(true);
register('./ts-hooks.mjs', import.meta.url);
