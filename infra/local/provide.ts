// Brings the real programs that integration tests run: `node dist/infra/local/provide.js [--if-possible] [name ...]`.
// Prints one line `name path` for each. With --if-possible a missing one is said, and is no failure: its tests skip.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { processEnvironment } from '../process/env.ts';
import { type Tool, ToolMissingError, type ToolPlace, TOOLS } from './tools.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'if-possible': { type: 'boolean', default: false } },
});
const unknown = positionals.filter((name) => !TOOLS.some((tool) => tool.name === name));
if (unknown.length > 0) {
  console.error(`unknown tool: ${unknown.join(', ')}; there are: ${TOOLS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const place: ToolPlace = { folder: join(process.cwd(), '.local'), env: processEnvironment() };
for (const tool of TOOLS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const path = provide(tool);
  if (path !== undefined) {
    console.log(`${tool.name} ${path}`);
  }
}

function provide(tool: Tool): string | undefined {
  const found = tool.find(place);
  if (found !== undefined) {
    return found;
  }
  console.error(`installing ${tool.name} ${tool.version}; this can take minutes, once`);
  if (tool.licence !== undefined) {
    console.error(`${tool.name}: who installs it agrees to ${tool.licence}`);
  }
  try {
    return tool.install(place);
  } catch (error) {
    if (!(error instanceof ToolMissingError) && !values['if-possible']) {
      throw error;
    }
    console.error(`${tool.name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = values['if-possible'] ? 0 : 1;
    return undefined;
  }
}
