import { PUBLISHED_L2, writeJoblib } from '../bundle-joblib.ts';
import { ammFiles, type BundleFiles, contrastDict, mlpFiles, randomAmm, randomGmm, randomMlp } from '../bundle-models.ts';
import { writeNpy } from '../bundle-npy.ts';
import { type TestTensor, writePthAround } from '../bundle-torch.ts';
import { type TestZipEntry, writeZip } from '../bundle-zip.ts';
import { goodM2f, hostileConfig, oddM2fShapes, unfoldingM2f } from './fuzz-m2f.ts';
import { hostilePickle } from './hostile-pickles.ts';
import { mutate } from './mutate.ts';
import type { SeededRandom } from './seeded-random.ts';

/** A bundle as somebody may hand it over: files by path, or a zip. */
export type FuzzBundle =
  | {
      readonly kind: 'folder';
      readonly files: Readonly<Record<string, Buffer>>;
      readonly links?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'zip'; readonly bytes: Buffer };

type Files = Record<string, Buffer>;
type Maker = (random: SeededRandom, command: string) => FuzzBundle;

const MAKERS: readonly Maker[] = [
  (random) => inEitherForm(damagedFile(goodFiles(random), random), random),
  (random) => inEitherForm(damagedFile(goodFiles(random), random), random),
  (random) => inEitherForm(oddShapes(random), random),
  (random) => inEitherForm(oddM2fShapes(random), random),
  (random) => inEitherForm(unfoldingM2f(random), random),
  (random) => inEitherForm(hostileConfig(random), random),
  (random, command) => {
    const pickle = hostilePickle(command, random);
    const files = random.pick<() => Files>([
      () => ({ ...goodAmm(random), 'model.pth': pickled(pickle) }),
      () => ({ ...goodM2f(random), 'model.pth': pickled(pickle) }),
      () => ({ 'model.joblib': pickle }),
    ])();
    return inEitherForm(files, random);
  },
  (random) => inEitherForm(severalModels(random), random),
  (random) => inEitherForm({ 'model.joblib': oddJoblib(random) }, random),
  (random) => inEitherForm({ ...goodAmm(random), [random.pick(['loc.npy', 'cov.npy'])]: hostileNpy(random) }, random),
  (random) => inEitherForm(hostileJson(random), random),
  (random) => ({ kind: 'zip', bytes: mutate(zipOf(goodFiles(random), random), random) }),
  (random) => ({ kind: 'zip', bytes: hostileZip(random) }),
  (random) => linked(goodFiles(random), random),
];

/** A bundle made from chance alone. */
export function fuzzBundle(random: SeededRandom, command: string): FuzzBundle {
  return random.pick(MAKERS)(random, command);
}

function goodAmm(random: SeededRandom): Files & BundleFiles {
  const shape = { classCount: random.between(1, 4), embeddingSize: random.between(1, 4), depth: random.between(0, 2) };
  const model = randomAmm({ ...shape, hasSpectralNorm: random.isChance(0.5), seed: random.below(1000) });
  // Without checksums a damaged byte reaches the reader behind them.
  return { ...ammFiles(model, { hasChecksums: random.isChance(0.5), isZip64: random.isChance(0.2) }) };
}

function goodFiles(random: SeededRandom): Files {
  return random.pick<() => Files>([
    () => ({ 'contrast_dict.json': contrastDict(randomGmm(['1', '2'], random.below(1000))) }),
    () => ({ 'model.joblib': writeJoblib(PUBLISHED_L2) }),
    () => ({ ...mlpFiles(randomMlp({ classCount: 3, embeddingSize: 2, depth: random.below(3), hasSpectralNorm: false })) }),
    () => goodAmm(random),
    () => goodAmm(random),
    () => goodAmm(random),
    () => goodM2f(random),
    () => goodM2f(random),
  ])();
}

/** Segmentation and classification side by side, one of the two damaged; or in one folder, where their files have one name. */
function severalModels(random: SeededRandom): Files {
  const parts = { seg: goodM2f(random), cls: goodAmm(random) };
  const hurt = random.pick(['seg', 'cls'] as const);
  const set = { ...parts, [hurt]: damagedFile(parts[hurt], random) };
  const isFlat = random.isChance(0.3);
  return Object.fromEntries(
    Object.entries(set).flatMap(([folder, files]) =>
      Object.entries(files).map(([name, bytes]) => [isFlat ? name : `${folder}/${name}`, bytes]),
    ),
  );
}

/** Arrays whose descriptions do not fit their bytes, or nothing at all. */
function oddJoblib(random: SeededRandom): Buffer {
  const name = random.pick(['classes_', 'n_iter_', 'coef_', 'intercept_']);
  const size = (): number => random.pick([0, 1, 2, 3, 1000, 2 ** 31, 2 ** 40, -1]);
  return writeJoblib(PUBLISHED_L2, {
    shapes: random.isChance(0.6) ? { [name]: Array.from({ length: random.pick([0, 1, 2, 33, 1000]) }, size) } : {},
    types: random.isChance(0.6) ? { [name]: random.pick(['O', 'O8', 'f8', 'S999999', 'U999999', 'V1', 'f16', 'M8', 'x']) } : {},
    alignment: random.isChance(0.25) ? undefined : random.pick([16, 1, 255]),
    without: random.isChance(0.2) ? [name] : [],
    classType: random.pick(['i4', 'i8', 'f8', 'u1']),
  });
}

function damagedFile(files: Files, random: SeededRandom): Files {
  const name = random.pick(Object.keys(files));
  if (random.isChance(0.05)) {
    const { [name]: _, ...others } = files;
    return others;
  }
  return { ...files, [name]: mutate(files[name] ?? Buffer.alloc(0), random, Object.values(files)) };
}

/** Tensors and arrays that do not fit each other, or themselves. */
function oddShapes(random: SeededRandom): Files {
  const size = (): number => random.pick([0, 1, 2, 3, 7, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 40, -1]);
  const change = (tensor: TestTensor): TestTensor | undefined => {
    if (!random.isChance(0.3)) {
      return tensor;
    }
    return random.pick<() => TestTensor | undefined>([
      () => undefined,
      () => ({ ...tensor, shape: tensor.shape.map(() => size()) }),
      () => ({ ...tensor, shape: Array.from({ length: random.pick([0, 5, 1000]) }, () => 1) }),
      () => ({ ...tensor, stride: tensor.shape.map(() => size()) }),
      () => ({ ...tensor, offset: size() }),
      () => ({ ...tensor, storage: random.pick(['Double', 'Half', 'BFloat16', 'Long', 'Int', 'Byte', 'Bool']), data: [1, 0, 1] }),
      () => ({ ...tensor, data: Array.from(tensor.data, () => random.pick([Number.NaN, Number.POSITIVE_INFINITY, 1e38, 0])) }),
      () => ({ ...tensor, name: random.pick(['', '__proto__', 'constructor', 'first.weight', 'x'.repeat(2000)]) }),
    ])();
  };
  const model = randomAmm({ classCount: 2, embeddingSize: 2, depth: 1, hasSpectralNorm: random.isChance(0.5) });
  const key = random.pick(['num_classes', 'embedding_dim', 'depth', 'spec_coeff', 'input_dim']);
  const architecture = random.isChance(0.5) ? { [key]: random.pick([size(), '2', null, [], {}, 1e300, true]) } : {};
  return { ...ammFiles(model, { change, architecture, hasChecksums: false }) };
}

function pickled(pickle: Buffer): Buffer {
  return writePthAround(pickle, [{ name: 'first.weight', shape: [3], data: [1, 2, 3] }], { hasChecksums: false });
}

function hostileNpy(random: SeededRandom): Buffer {
  const header = random.pick([
    "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }",
    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
    `{'descr': '<f4', 'fortran_order': False, 'shape': ${'('.repeat(30_000)}, }`,
    `{'descr': '<f4', 'fortran_order': False, 'shape': (${'1, '.repeat(15_000)}), }`,
    "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }",
    "__import__('os').system('x')",
    '',
  ]);
  const bytes = writeNpy([1], [1], { header, major: random.pick([1, 2, 3] as const) });
  if (random.isChance(0.3)) {
    bytes.fill(0xff, 8, 12);
  }
  return bytes;
}

function hostileJson(random: SeededRandom): Files {
  const depth = random.pick([1000, 100_000]);
  const text = random.pick([
    `${'['.repeat(depth)}${']'.repeat(depth)}`,
    `${'{"1":'.repeat(depth)}0${'}'.repeat(depth)}`,
    '['.repeat(depth),
    `{"1": ${'9'.repeat(100_000)}}`,
    '{"1": {"contrast": {"r": 1e999, "g": -1e999, "b": NaN}, "covariance_matrix": [[1,0,0],[0,1,0],[0,0,1]]}}',
    '{"__proto__": {"contrast": {}}, "constructor": 1}',
    `{${'"1": {}, '.repeat(20_000)}"1": {}}`,
    `{"${'x'.repeat(500_000)}": 1}`,
    '"',
    'null',
    '\ufeff{}',
    '\u0000',
  ]);
  const bytes = random.isChance(0.2) ? Buffer.from(text, 'utf16le') : Buffer.from(text);
  return random.isChance(0.5) ? { 'contrast_dict.json': bytes } : { ...goodAmm(random), 'meta_data.json': bytes };
}

function inEitherForm(files: Files, random: SeededRandom): FuzzBundle {
  return random.isChance(0.6) ? { kind: 'folder', files } : { kind: 'zip', bytes: zipOf(files, random) };
}

function zipOf(files: Files, random: SeededRandom): Buffer {
  const isDeflated = random.isChance(0.5);
  const entries = Object.entries(files).map(([name, bytes]) => ({ name: `bundle/${name}`, bytes, isDeflated }));
  return writeZip(entries, random.isChance(0.3));
}

/** Entries that leave the zip, lie about themselves, or hide something. */
function hostileZip(random: SeededRandom): Buffer {
  const entries: TestZipEntry[] = Object.entries(goodFiles(random)).map(([name, bytes]) => ({ name: `b/${name}`, bytes }));
  const victim = random.below(entries.length);
  const change = random.pick<(entry: TestZipEntry) => TestZipEntry>([
    (entry) => ({
      ...entry,
      name: random.pick(['../../escaped', '/escaped', 'b/../../escaped', 'C:\\escaped', '..\\escaped', 'b//x', '', '.']),
    }),
    (entry) => ({ ...entry, name: `b/${'x'.repeat(60_000)}` }),
    (entry) => ({ ...entry, name: entries[0]?.name ?? '' }),
    (entry) => ({ ...entry, unixMode: 0o120_777, bytes: Buffer.from('/etc/passwd') }),
    (entry) => ({ ...entry, flags: random.pick([1, 8, 0x40, 0x2000, 0xffff]) }),
    (entry) => ({ ...entry, method: random.pick([1, 9, 12, 14, 99, 8]) }),
    (entry) => ({ ...entry, crc: random.below(2 ** 31) }),
    (entry) => ({ ...entry, declaredBytes: random.pick([0, 1, 2 ** 31 - 1, 2 ** 32 - 2]), isDeflated: random.isChance(0.5) }),
    (entry) => ({ ...entry, bytes: Buffer.alloc(20 * 1024 * 1024), isDeflated: true }),
  ]);
  const changed = entries.map((entry, index) => (index === victim ? change(entry) : entry));
  const many = random.isChance(0.05)
    ? Array.from({ length: 11_000 }, (_, index) => ({ name: `b/${index}`, bytes: Buffer.alloc(0) }))
    : [];
  return writeZip([...changed, ...many], random.isChance(0.3));
}

/** A folder in which one file is a link out of it, or a folder. */
function linked(files: Files, random: SeededRandom): FuzzBundle {
  const name = random.pick(Object.keys(files));
  const { [name]: _, ...others } = files;
  return {
    kind: 'folder',
    files: others,
    links: { [name]: random.pick(['/dev/zero', '/etc/passwd', '/proc/self/mem', '.', 'nowhere', name]) },
  };
}
