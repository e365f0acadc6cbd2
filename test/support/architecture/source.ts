import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path/posix';

/** One TypeScript file, by its path from the repository's root. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** What a source imports: another source by its path, or a package by its name. */
export type Import = { readonly kind: 'source'; readonly path: string } | { readonly kind: 'package'; readonly name: string };

const FOLDERS = ['proto', 'registry', 'inference', 'clients', 'infra', 'test'];

// A statement of the module begins a line, so that neither a comment nor a string is taken for one.
const FROM = /^(?:import|export)\s[\w$*\s{},]*?\bfrom\s*(['"])(?<target>[^'"\n]+)\1/gm;
const BARE = /^import\s*(['"])(?<target>[^'"\n]+)\1/gm;
const CALL = /\b(?:import|require)\(\s*(['"`])(?<target>[^'"`\n]+)\1\s*[),]/g;

/** Every hand-written and generated source of the repository. */
export function readSources(root: string): Source[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => `${folder}/${path}`),
  ).map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** All static and dynamic imports and re-exports, of values and of types. */
export function importsOf({ path, text }: Source): Import[] {
  const code = withoutComments(text);
  return [FROM, BARE, CALL]
    .flatMap((pattern) => [...code.matchAll(pattern)])
    .map((match) => target(match.groups?.['target'] ?? '', path));
}

/** Without lines that are comments as a whole. */
export function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line))
    .join('\n');
}

function target(specifier: string, importer: string): Import {
  if (specifier.startsWith('.')) {
    return { kind: 'source', path: normalize(join(dirname(importer), specifier)) };
  }
  const parts = specifier.split('/');
  return { kind: 'package', name: parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/') };
}
