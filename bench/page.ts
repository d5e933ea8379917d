import { readFile, writeFile } from 'node:fs/promises';
import { format, resolveConfig } from 'prettier';
import type { Report, Section } from './report.js';
import { versions } from './versions.js';

const TEMPLATE = new URL('./benchmarks.template.md', import.meta.url);

/** Where the template wants the figures of a discipline. */
const PLACE = /^<!-- figures: (\S+) -->$/gm;

/** Puts the figures of a run into the prose around them. */
export async function writePage(file: string, report: Report): Promise<void> {
  const template = await readFile(TEMPLATE, 'utf8');
  const left = new Map(report.sections.map((section) => [section.name, section]));
  const page = template
    .replace('<!-- run -->', await runLines(report))
    .replace('<!-- bars -->', barLines(report))
    .replace(PLACE, (_, name: string) => {
      const section = left.get(name);
      left.delete(name);
      return section ? sectionLines(section) : 'Not part of this run.';
    });
  if (left.size > 0)
    throw new Error(`benchmarks.template.md has no place for ${[...left.keys()].join(', ')}.`);
  const settings = await resolveConfig(file);
  await writeFile(file, await format(page, { ...settings, parser: 'markdown' }));
}

async function runLines({ machine }: Report): Promise<string> {
  const date = new Date().toISOString().slice(0, 10);
  return [`- ${date}`, `- ${machine}`, `- ${(await versions()).join(', ')}`].join('\n');
}

function barLines({ sections }: Report): string {
  const judged = sections.flatMap(({ name, bars }) => bars.map((bar) => ({ name, ...bar })));
  const rows = judged.map(
    ({ name, title, passes }) => `| ${passes ? 'PASS' : 'miss'} | ${name} | ${title} |`,
  );
  return ['| | discipline | bar |', '| --- | --- | --- |', ...rows].join('\n');
}

function sectionLines({ title, table: { head, rows } }: Section): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, at) => (at === 0 ? '---' : '---:'));
  const figures = rows.filter(({ length }) => length === head.length);
  const remarks = rows.filter(({ length }) => length < head.length);
  return [
    `${title}.`,
    '',
    ...[head, rule, ...figures].map(line),
    ...(remarks.length > 0 ? [''] : []),
    ...remarks.map(([name, remark]) => `- ${name}: ${remark}`),
  ].join('\n');
}
