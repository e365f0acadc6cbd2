import { ServiceError } from '../../proto/wire/errors.ts';
import {
  type CheckCase,
  type CheckTensor,
  type ExpectedTensor,
  type GoldenCheck,
  typeOf,
} from '../../proto/wire/golden-check.ts';

/** Runs a model on named tensors and gives the outputs asked for, by name. */
export type RunTensors = (
  inputs: readonly CheckTensor[],
  outputs: readonly string[],
) => Promise<ReadonlyMap<string, Omit<CheckTensor, 'name'>>>;

/**
 * Has a loaded model reproduce its check.
 * @throws ServiceError failed-precondition GOLDEN_CHECK_FAILED naming the first output that is not what was expected, with the worst
 * of its elements; metadata `output`, `expected` and `found`.
 */
export async function runGoldenCheck(check: GoldenCheck, run: RunTensors, label: string): Promise<void> {
  for (const each of check.cases) {
    await runCase(each, run, label);
  }
}

async function runCase({ name, inputs, outputs }: CheckCase, run: RunTensors, label: string): Promise<void> {
  const names = outputs.map((output) => output.name);
  let found: Awaited<ReturnType<RunTensors>>;
  try {
    found = await run(inputs, names);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw failed(label, `the run of "${name}" failed: ${why}`, {}, cause);
  }
  for (const expected of outputs) {
    checkOutput(expected, found.get(expected.name), `${label}: "${name}"`);
  }
}

function checkOutput(expected: ExpectedTensor, found: Omit<CheckTensor, 'name'> | undefined, place: string): void {
  const { name } = expected;
  const form = describeForm(expected);
  const foundForm = found === undefined ? 'nothing' : describeForm(found);
  if (found === undefined || form !== foundForm) {
    throw failed(place, `output ${name}: expected ${form}, found ${foundForm}`, {
      output: name,
      expected: form,
      found: foundForm,
    });
  }
  const { count, worst } = differences(expected, found.data);
  if (count > expected.outliers) {
    const value = String(expected.data[worst]);
    const other = String(found.data[worst]);
    const allowed = `${expected.absolute} + ${expected.relative} of it`;
    throw failed(
      place,
      `output ${name}: ${count} of ${expected.data.length} elements are further off than ${allowed}, at most ${expected.outliers} may be; element ${worst}: expected ${value}, found ${other}`,
      { output: name, expected: value, found: other },
    );
  }
}

/** How many elements are further off than they may be, and which one most of all. What is no number is infinitely far. */
function differences({ data, absolute, relative }: ExpectedTensor, found: CheckTensor['data']): { count: number; worst: number } {
  let count = 0;
  let worst = 0;
  let furthest = -1;
  for (let index = 0; index < data.length; index += 1) {
    const expected = Number(data[index]);
    const distance = Math.abs(Number(found[index]) - expected);
    const excess = Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance - (absolute + relative * Math.abs(expected));
    if (excess > 0) {
      count += 1;
      if (excess > furthest) {
        worst = index;
        furthest = excess;
      }
    }
  }
  return { count, worst };
}

function describeForm({ shape, data }: Omit<CheckTensor, 'name'>): string {
  return `${typeOf(data)} [${shape.join(', ')}]`;
}

function failed(place: string, problem: string, metadata: Readonly<Record<string, string>>, cause?: unknown): ServiceError {
  return new ServiceError('failed-precondition', 'GOLDEN_CHECK_FAILED', `${place}: golden check: ${problem}`, {
    metadata,
    cause,
  });
}
