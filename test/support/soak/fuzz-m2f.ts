import { parseM2fSettings } from '../../../clients/import/m2f/settings.ts';
import { expectedTensors } from '../../../clients/import/m2f/tensors.ts';
import { type TestTensor, writePth } from '../bundle-torch.ts';
import { type ConfigChanges, configText, m2fFiles, randomM2f, TINY } from '../m2f/random-model.ts';
import type { M2fShape } from '../m2f/shape.ts';
import type { SeededRandom } from './seeded-random.ts';

type Files = Record<string, Buffer>;

/** Of a model of more values a tensor is missing: whole, its import takes as long as that of a real one. */
const WHOLE_VALUES = 3_000_000;
const NARROW: M2fShape = { ...TINY, encoderLayers: 1, decoderLayers: 3, queries: 4 };
const ODD_SIZES = [0, 1, 2, 3, 7, 1000, 2 ** 31 - 1, 2 ** 31, 2 ** 40, -1] as const;

/** A whole Mask2Former bundle of narrow widths, written in one of the ways that PyTorch and its trainers have. */
export function goodM2f(random: SeededRandom): Files {
  const model = randomM2f(NARROW, random.below(4));
  return m2fFiles(model, {
    isBare: random.isChance(0.2),
    torch: random.pick([1, 2] as const),
    weightsName: random.pick(['model_final.pth', 'model.pth']),
    hasChecksums: random.isChance(0.5),
    ...(random.isChance(0.2) ? { optimizerOf: 'sem_seg_head' } : {}),
  });
}

/** Tensors that do not fit the config, themselves, or each other. */
export function oddM2fShapes(random: SeededRandom): Files {
  const model = randomM2f(NARROW);
  const tensors: (TestTensor | undefined)[] = model.tensors.map(({ name, shape, values }) => ({ name, shape, data: values() }));
  for (let changes = random.between(1, 4); changes > 0; changes -= 1) {
    const at = random.below(tensors.length);
    const tensor = tensors[at];
    tensors[at] = tensor && oddTensor(tensor, random);
  }
  const weights = writePth(
    tensors.filter((tensor) => tensor !== undefined),
    { hasChecksums: false, isZip64: random.isChance(0.5) },
  );
  return { 'config.yaml': Buffer.from(model.config), 'model_final.pth': weights };
}

function oddTensor(tensor: TestTensor, random: SeededRandom): TestTensor | undefined {
  const size = (): number => random.pick(ODD_SIZES);
  return random.pick<() => TestTensor | undefined>([
    () => undefined,
    () => ({ ...tensor, shape: tensor.shape.map(() => size()), stride: tensor.shape.map(() => random.pick([0, 1, 2 ** 40])) }),
    () => ({ ...tensor, shape: Array.from({ length: random.pick([0, 5, 1000]) }, () => 1) }),
    () => ({ ...tensor, shape: tensor.shape.toReversed() }),
    () => ({ ...tensor, stride: tensor.shape.map(() => size()) }),
    () => ({ ...tensor, stride: tensor.shape.map(() => 0), data: [random.unit()] }),
    () => ({ ...tensor, offset: size() }),
    () => ({ ...tensor, storage: random.pick(['Double', 'Half', 'BFloat16', 'Long', 'Int', 'Byte', 'Bool']), data: [1, 0, 1] }),
    () => ({
      ...tensor,
      data: Float32Array.from(tensor.data, () => random.pick([Number.NaN, Number.POSITIVE_INFINITY, 1e38, -1e38, 0])),
    }),
    () => ({ ...tensor, name: random.pick(['', '__proto__', 'constructor', 'backbone.stem.conv1.weight', 'x'.repeat(2000)]) }),
  ])();
}

/** A checkpoint of kilobytes whose tensors agree with the config and unfold to whatever that asks for: each repeats one element. */
export function unfoldingM2f(random: SeededRandom): Files {
  const odd = random.pick<Partial<M2fShape>>([
    { stem: 8192 },
    { width: 512 },
    { outputs: random.pick([512, 8192]) },
    { convs: random.pick([256, 1024, 8192]) },
    { maskWidth: 8192 },
    { hidden: random.pick([256, 1024, 8192]) },
    { feedForward: 8192 },
    { queries: 1000 },
    { encoderLayers: 64 },
    { decoderLayers: 63 },
    { encoderLayers: 64, decoderLayers: 63, queries: 1000 },
    { blocks: [3, 4, 23, 3] },
    { heads: 32 },
    { groups: 4 },
    { divisibility: random.pick([64, 96, 128, 8192]) },
  ]);
  const shape = { ...NARROW, ...odd };
  const config = configText(shape, { 'TEST.DETECTIONS_PER_IMAGE': 1000 });
  const expected = [...expectedTensors(parseM2fSettings(Buffer.from(config), 'config.yaml'))];
  const tensors = expected.map(
    ([name, size]): TestTensor => ({
      name,
      shape: size,
      data: [name.endsWith('running_var') ? 1 : 0.01],
      stride: size.map(() => 0),
    }),
  );
  const count = expected.reduce((sum, [, size]) => sum + size.reduce((product, each) => product * each, 1), 0);
  const kept = count > WHOLE_VALUES ? tensors.slice(random.between(1, 3)) : tensors;
  return { 'config.yaml': Buffer.from(config), 'model_final.pth': writePth(kept, { hasChecksums: false }) };
}

/** Configs that nobody dumps. */
export function hostileConfig(random: SeededRandom): Files {
  const good = goodM2f(random);
  const depth = random.pick([100, 10_000, 30_000]);
  const text = random.pick<() => string>([
    () => configText(NARROW, oddValue(random)),
    () => configText(NARROW, oddValue(random)),
    () => configText(NARROW, oddValue(random)),
    () => '['.repeat(depth),
    () => `${'{a: '.repeat(depth)}1${'}'.repeat(depth)}`,
    () => Array.from({ length: Math.min(depth, 300) }, (_, level) => `${' '.repeat(level)}a:`).join('\n'),
    // Each anchor twice the one before.
    () => ['a0: &a0 [x, x]', ...Array.from({ length: 40 }, (_, at) => `a${at + 1}: &a${at + 1} [*a${at}, *a${at}]`)].join('\n'),
    () => 'a: &a [*a, *a]',
    () => 'MODEL: !!python/object/apply:os.system ["touch /tmp/executed"]',
    () => `MODEL: !!js/function 'function () { process.exit(1) }'`,
    () => Array.from({ length: 4000 }, (_, at) => `k${at}: ${at}`).join('\n'),
    () => `<<: {__proto__: {MODEL: 1}}\n__proto__: {META_ARCHITECTURE: MaskFormer}\nconstructor: 1`,
    () => `? ${'x'.repeat(60_000)}\n: 1`,
    () => '\u0000',
    () => '%YAML 9.9\n---\n---\n',
    () => 'x'.repeat(70_000),
    () => '',
  ])();
  return { ...good, 'config.yaml': random.isChance(0.1) ? Buffer.from(text, 'utf16le') : Buffer.from(text) };
}

function oddValue(random: SeededRandom): ConfigChanges {
  const key = random.pick([
    'MODEL.MASK_FORMER.NHEADS',
    'MODEL.MASK_FORMER.HIDDEN_DIM',
    'MODEL.MASK_FORMER.NUM_OBJECT_QUERIES',
    'MODEL.MASK_FORMER.DEC_LAYERS',
    'MODEL.MASK_FORMER.DIM_FEEDFORWARD',
    'MODEL.MASK_FORMER.SIZE_DIVISIBILITY',
    'MODEL.SEM_SEG_HEAD.CONVS_DIM',
    'MODEL.SEM_SEG_HEAD.MASK_DIM',
    'MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS',
    'MODEL.RESNETS.DEPTH',
    'MODEL.RESNETS.NUM_GROUPS',
    'MODEL.RESNETS.WIDTH_PER_GROUP',
    'MODEL.RESNETS.STEM_OUT_CHANNELS',
    'MODEL.PIXEL_STD',
    'MODEL.PIXEL_MEAN',
    'INPUT.FORMAT',
    'MODEL',
  ]);
  const values = [...ODD_SIZES, 1.5, 1e300, Number.NaN, null, true, '', '2', [], {}, [0, 0, 0], [1e39, 1, 1]];
  const value = random.isChance(0.05) ? undefined : random.pick<unknown>(values);
  return { [key]: value };
}
