import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from '@jest/globals';

const here = dirname(fileURLToPath(import.meta.url));

it('shows in docs/testing.md the backend that is tested here, word for word', () => {
  const page = readFileSync(join(here, '../../docs/testing.md'), 'utf8');
  const code = readFileSync(join(here, 'own-backend.spec.ts'), 'utf8');
  expect(page).toContain(`\`\`\`ts\n${code}\`\`\`\n`);
});
