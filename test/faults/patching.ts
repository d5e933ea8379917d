import { register } from 'node:module';

/** A change to one file of the library, by its text. */
export interface Patch {
  /** Below lib/. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Takes effect for what is loaded from here on. */
export function plantPatches(patches: readonly Patch[]): void {
  register(new URL('patching-hooks.mjs', import.meta.url), { data: patches });
}
