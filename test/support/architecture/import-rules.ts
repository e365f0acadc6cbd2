import { type Import, importsOf, type Source } from './source.ts';

/** A rule says what breaks it: one line a violation, naming the file. */
export type Rule = (sources: readonly Source[]) => string[];

const CORES = [
  'registry/model',
  'registry/release',
  'inference/predict',
  'inference/rollout',
  'inference/cache',
  'clients/import',
];
const OUTSIDE_WORLD = /^(?:@grpc\/|@aws-sdk\/|grpc-health-check$|onnxruntime-node$|sharp$|pino$|libsql$)/;

/** The cores know nothing of the wire, the stores and the machine, not even through a file in between. */
export const coresStayPure: Rule = (sources) => {
  const all = new Map(sources.map((source) => [source.path, source]));
  const violations: string[] = [];
  for (const source of sources.filter(({ path }) => CORES.some((core) => isIn(path, core)))) {
    const mayUse = isIn(source.path, 'clients/import') ? 'proto/gen/onnx' : undefined;
    for (const { from, imported } of reachable(source, all)) {
      const problem = coreProblem(imported, mayUse);
      if (problem !== undefined) {
        violations.push(`${source.path}: ${problem}${from === source.path ? '' : `, through ${from}`}`);
      }
    }
  }
  return violations;
};

function coreProblem(imported: Import, mayUse: string | undefined): string | undefined {
  if (imported.kind === 'package') {
    return OUTSIDE_WORLD.test(imported.name) ? `a core imports ${imported.name}` : undefined;
  }
  const { path } = imported;
  const isOutside = isIn(path, 'proto/gen') && (mayUse === undefined || !isIn(path, mayUse));
  return isOutside || /(?:^|\/)(?:rpc|adapters)\/|\/main\.ts$/.test(path) ? `a core imports ${path}` : undefined;
}

function reachable(start: Source, all: ReadonlyMap<string, Source>): { from: string; imported: Import }[] {
  const found: { from: string; imported: Import }[] = [];
  const seen = new Set([start.path]);
  const waiting = [start];
  for (let source = waiting.pop(); source !== undefined; source = waiting.pop()) {
    for (const imported of importsOf(source)) {
      found.push({ from: source.path, imported });
      const next = imported.kind === 'source' ? all.get(imported.path) : undefined;
      // What generated code imports is its own business; that it is reached at all is what matters.
      if (next !== undefined && !seen.has(next.path) && !isIn(next.path, 'proto/gen')) {
        seen.add(next.path);
        waiting.push(next);
      }
    }
  }
  return found;
}

/** An adapter is a folder in `adapters/`, or a file that lies there by itself. */
export const adaptersStandAlone: Rule = (sources) =>
  eachImport(sources, (path, imported) => {
    const own = adapterOf(path);
    const other = imported.kind === 'source' ? adapterOf(imported.path) : undefined;
    return own !== undefined && other !== undefined && own !== other ? `imports the adapter ${other}` : undefined;
  });

function adapterOf(path: string): string | undefined {
  return /^(?:.*\/)?adapters\/[^/]+/.exec(path)?.[0];
}

/** Which part of the tree may import which: folders, or single files. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  proto: ['proto'],
  registry: ['registry', 'proto', 'infra/process'],
  inference: ['inference', 'proto', 'infra/process'],
  'infra/process': ['infra/process', 'proto'],
  'infra/local': ['infra/local', 'infra/process'],
  'infra/aws': ['infra/aws', 'registry/adapters/aws/table-definition.ts', 'registry/adapters/aws/s3-layout.ts'],
  'clients/cli': ['clients', 'proto', 'infra/process', 'registry', 'inference'],
  'clients/demo': ['clients', 'proto', 'infra/process', 'registry', 'inference'],
  clients: ['clients', 'proto', 'infra/process'],
};

/** Both services know the contract and nothing of each other or of the clients; only programs start services. */
export const partsKeepApart: Rule = (sources) =>
  eachImport(sources, (path, imported) => {
    const part = Object.keys(PARTS)
      .filter((name) => isIn(path, name))
      .toSorted((a, b) => b.length - a.length)[0];
    const allowed = part === undefined ? undefined : PARTS[part];
    return imported.kind === 'source' &&
      allowed !== undefined &&
      !allowed.some((name) => imported.path === name || isIn(imported.path, name))
      ? `${part} must not import ${imported.path}`
      : undefined;
  });

/** Where a package may be imported, tests aside; `once`: in one file of that folder only. */
const PACKAGES: readonly { readonly name: RegExp; readonly in: RegExp; readonly once?: RegExp }[] = [
  { name: /^onnxruntime-node$/, in: /^inference\/engine\//, once: /^inference\/engine\// },
  { name: /^sharp$/, in: /^(?:inference\/engine\/|clients\/cli\/overlay|clients\/demo\/)/, once: /^inference\/engine\// },
  { name: /^libsql$/, in: /^registry\/adapters\/embedded\// },
  { name: /^pino$/, in: /^infra\/process\/log\.ts$/ },
  { name: /^(?:aws-cdk-lib|constructs)$/, in: /^infra\/aws\// },
  {
    name: /^@aws-sdk\//,
    in: /^(?:registry\/adapters\/aws\/|inference\/adapters\/s3-source\.ts$|clients\/adapters\/s3-object-bucket\.ts$)/,
  },
];

export const packagesStayInPlace: Rule = (sources) => {
  const found = new Map<RegExp, Set<string>>();
  const misplaced = eachImport(sources, (path, imported) => {
    const rule = PACKAGES.find(({ name }) => imported.kind === 'package' && name.test(imported.name));
    if (rule === undefined || imported.kind === 'source') {
      return undefined;
    }
    if (rule.once?.test(path) === true) {
      found.set(rule.name, (found.get(rule.name) ?? new Set()).add(path));
    }
    return rule.in.test(path) ? undefined : `${imported.name} must not be imported here`;
  });
  const repeated = [...found]
    .filter(([, paths]) => paths.size > 1)
    .map(([name, paths]) => `${[...paths].join(', ')}: ${name.source} in one file only`);
  return [...misplaced, ...repeated];
};

/** No import cycle, of values or of types. */
export const noCycles: Rule = (sources) => {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      importsOf(source).flatMap((imported) => (imported.kind === 'source' ? [imported.path] : [])),
    ]),
  );
  const done = new Set<string>();
  const violations: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      violations.push(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
      return;
    }
    if (!done.has(path)) {
      for (const next of edges.get(path) ?? []) {
        visit(next, [...trail, path]);
      }
      done.add(path);
    }
  };
  for (const path of edges.keys()) {
    visit(path, []);
  }
  return violations;
};

function eachImport(sources: readonly Source[], problem: (path: string, imported: Import) => string | undefined): string[] {
  return sources
    .filter(({ path }) => !isIn(path, 'test') && !isIn(path, 'proto/gen'))
    .flatMap((source) => importsOf(source).map((imported) => ({ path: source.path, what: problem(source.path, imported) })))
    .flatMap(({ path, what }) => (what === undefined ? [] : [`${path}: ${what}`]));
}

function isIn(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}
