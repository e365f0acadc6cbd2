import * as z from 'zod';
import { ServiceError } from './errors.ts';
import type { Manifest, ManifestArtifact } from './manifest.ts';

/** What tells a version's golden check from its other artifacts. */
export const CHECK_MEDIA_TYPE = 'application/vnd.maskterial.golden-check+json';

/** A check is read whole, in every process that loads its version. */
export const MAX_CHECK_BYTES = 8 * 1024 * 1024;
const MAX_CASES = 16;
const MAX_TENSORS = 16;
const MAX_RANK = 8;

export type CheckData = Float32Array | Float64Array | Uint8Array | BigInt64Array;
export type CheckType = 'float32' | 'float64' | 'uint8' | 'int64';

/** A tensor, its elements in C order. */
export interface CheckTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: CheckData;
}

/** An element x is met by any from x - d to x + d, where d = absolute + relative |x|. */
export interface ExpectedTensor extends CheckTensor {
  readonly absolute: number;
  readonly relative: number;
  /** Elements that may lie elsewhere, such as a mask's where a logit is next to 0. */
  readonly outliers: number;
}

/** One run of a version's graph: its inputs and what has to come out. Outputs that are not named are not looked at. */
export interface CheckCase {
  readonly name: string;
  readonly inputs: readonly CheckTensor[];
  readonly outputs: readonly ExpectedTensor[];
}

/**
 * What a version has to reproduce before it serves, whatever its graph takes and gives. Expected values do not come from the graph
 * itself: then it would only ever agree with itself.
 */
export interface GoldenCheck {
  readonly cases: readonly CheckCase[];
}

/** The check artifacts of a version; none is no fault. */
export function checkArtifacts({ artifacts }: Manifest): ManifestArtifact[] {
  return artifacts.filter(({ role, mediaType }) => role === 'serving' && mediaType === CHECK_MEDIA_TYPE);
}

/** The bytes of a check: equal checks give equal bytes. */
export function encodeCheck({ cases }: GoldenCheck): Buffer {
  const json = {
    schemaVersion: 1,
    cases: cases.map(({ name, inputs, outputs }) => ({
      name,
      inputs: inputs.map(toJson),
      outputs: outputs.map(({ absolute, relative, outliers, ...tensor }) => ({
        ...toJson(tensor),
        absolute,
        relative,
        outliers,
      })),
    })),
  };
  return Buffer.from(`${JSON.stringify(json, undefined, 1)}\n`);
}

/** @throws ServiceError failed-precondition GOLDEN_CHECK_FAILED naming `label` and what is wrong with it. */
export function parseCheck(bytes: Uint8Array, label: string): GoldenCheck {
  const unreadable = (problem: string): ServiceError =>
    new ServiceError('failed-precondition', 'GOLDEN_CHECK_FAILED', `${label}: the golden check cannot be read: ${problem}`);
  if (bytes.byteLength > MAX_CHECK_BYTES) {
    throw unreadable(`${bytes.byteLength} bytes, at most ${MAX_CHECK_BYTES}`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw unreadable(`not JSON in UTF-8: ${String(cause)}`);
  }
  const result = checkSchema.safeParse(json);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw unreadable(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a check'}`);
  }
  const { cases } = result.data;
  const cut = cases.flatMap(({ inputs, outputs }) => [...inputs, ...outputs]).find((tensor) => !isWhole(tensor));
  if (cut !== undefined) {
    throw unreadable(`${cut.name}: not the bytes of ${cut.type} [${cut.shape.join(', ')}]`);
  }
  return {
    cases: cases.map(({ name, inputs, outputs }) => ({
      name,
      inputs: inputs.map(fromJson),
      outputs: outputs.map((output) => {
        const { absolute, relative, outliers } = output;
        return { ...fromJson(output), absolute, relative, outliers };
      }),
    })),
  };
}

const ELEMENT_BYTES: Readonly<Record<CheckType, number>> = { float32: 4, float64: 8, uint8: 1, int64: 8 };

const tensorShape = {
  name: z.string().min(1).max(100),
  type: z.enum(['float32', 'float64', 'uint8', 'int64']),
  shape: z.array(z.int().min(0)).max(MAX_RANK),
  /** Little-endian. */
  data: z.base64(),
};
const tolerance = z.number().min(0);
const checkSchema = z.strictObject({
  schemaVersion: z.literal(1),
  cases: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(100),
        inputs: z.array(z.strictObject(tensorShape)).min(1).max(MAX_TENSORS),
        outputs: z
          .array(z.strictObject({ ...tensorShape, absolute: tolerance, relative: tolerance, outliers: z.int().min(0) }))
          .min(1)
          .max(MAX_TENSORS),
      }),
    )
    .min(1)
    .max(MAX_CASES),
});

type JsonTensor = z.infer<z.ZodObject<typeof tensorShape>>;

function toJson({ name, shape, data }: CheckTensor): JsonTensor {
  const type = typeOf(data);
  const bytes = Buffer.alloc(data.length * ELEMENT_BYTES[type]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  data.forEach((value: number | bigint, index: number) => writeElement(view, type, index, value));
  return { name, type, shape: [...shape], data: bytes.toString('base64') };
}

function isWhole({ type, shape, data }: JsonTensor): boolean {
  const elements = shape.reduce((product, size) => product * size, 1);
  return Buffer.byteLength(data, 'base64') === elements * ELEMENT_BYTES[type];
}

function fromJson({ name, type, shape, data }: JsonTensor): CheckTensor {
  const bytes = Buffer.from(data, 'base64');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { name, shape, data: readElements(view, type, bytes.byteLength / ELEMENT_BYTES[type]) };
}

export function isCheckData(data: unknown): data is CheckData {
  return (
    data instanceof Float32Array || data instanceof Float64Array || data instanceof Uint8Array || data instanceof BigInt64Array
  );
}

export function typeOf(data: CheckData): CheckType {
  if (data instanceof Float32Array) {
    return 'float32';
  }
  if (data instanceof Float64Array) {
    return 'float64';
  }
  return data instanceof Uint8Array ? 'uint8' : 'int64';
}

function writeElement(view: DataView, type: CheckType, index: number, value: number | bigint): void {
  switch (type) {
    case 'float32':
      return view.setFloat32(index * 4, Number(value), true);
    case 'float64':
      return view.setFloat64(index * 8, Number(value), true);
    case 'uint8':
      return view.setUint8(index, Number(value));
    case 'int64':
      return view.setBigInt64(index * 8, BigInt(value), true);
  }
}

function readElements(view: DataView, type: CheckType, count: number): CheckData {
  switch (type) {
    case 'float32':
      return Float32Array.from({ length: count }, (_, index) => view.getFloat32(index * 4, true));
    case 'float64':
      return Float64Array.from({ length: count }, (_, index) => view.getFloat64(index * 8, true));
    case 'uint8':
      return Uint8Array.from({ length: count }, (_, index) => view.getUint8(index));
    case 'int64':
      return BigInt64Array.from({ length: count }, (_, index) => view.getBigInt64(index * 8, true));
  }
}
