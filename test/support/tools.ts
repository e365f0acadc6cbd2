import { join } from 'node:path';
import { TOOLS } from '../../infra/local/tools.ts';
import { processEnvironment } from '../../infra/process/env.ts';
import { repositoryRoot } from './reference-data.ts';

/** The path of a real program that `npm run tools` brings, or undefined where it is not here. */
export function findTool(name: string): string | undefined {
  const tool = TOOLS.find((candidate) => candidate.name === name);
  if (tool === undefined) {
    throw new Error(`"${name}" is not among the tools of infra/local/tools.ts`);
  }
  return tool.find({ folder: join(repositoryRoot, '.local'), env: processEnvironment() });
}

/** Pass as a test's options: runs it where the program is, skips it visibly elsewhere. */
export function needsTool(name: string): { readonly skip: string | false } {
  return { skip: findTool(name) === undefined ? `${name} is not here: npm run tools` : false };
}
