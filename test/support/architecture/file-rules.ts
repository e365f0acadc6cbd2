import type { Rule } from './import-rules.ts';
import { withoutComments } from './source.ts';

const MAX_LINES = 400;
const VAGUE = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'misc']);

/** Settings are read in one place, so that every problem with them is reported at once. */
export const oneFileReadsTheEnvironment: Rule = (sources) =>
  sources
    .filter(({ path }) => !path.startsWith('test/') && path !== 'infra/process/env.ts')
    .filter(({ text }) =>
      /\bprocess\s*(?:\.\s*env\b|\[\s*['"`]env\b)|\{[^}]*\benv\b[^}]*\}\s*(?:=\s*process\b|from\s*['"](?:node:)?process\b)/.test(
        withoutComments(text),
      ),
    )
    .map(({ path }) => `${path}: process.env is read in infra/process/env.ts only`);

export const namesSaySomething: Rule = (sources) =>
  sources.flatMap(({ path }) => {
    const parts = path.replace(/(?:\.test)?\.ts$/, '').split('/');
    const vague = parts.filter((part) => VAGUE.has(part)).map((part) => `${path}: "${part}" says nothing`);
    const misspelt = path.startsWith('proto/gen/') ? [] : parts.filter((part) => !/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(part));
    return [...vague, ...misspelt.map((part) => `${path}: "${part}" is not kebab-case`)];
  });

export const filesStayShort: Rule = (sources) =>
  sources
    .filter(({ path }) => !path.startsWith('proto/gen/'))
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${MAX_LINES}`);
