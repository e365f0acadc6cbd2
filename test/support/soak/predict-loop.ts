import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { createInferenceClient, type InferenceClient } from '../../../clients/inference-client.ts';
import { NO_RETRY } from '../../../clients/retry.ts';
import { HANG_MS } from '../hang-limit.ts';
import { makePicture } from '../made-up.ts';
import type { LargeVersion } from './large-version.ts';

const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const PAUSE_MS = 20;

/** Asks an inference server for the same image all the time. Every answer must be there, and be that of the version it names. */
export class PredictLoop implements AsyncDisposable {
  readonly #client: InferenceClient;
  readonly #model: string;
  readonly #picture: Buffer;
  readonly #expected = new Map<string, number>();
  readonly #over = new AbortController();
  readonly #loop: Promise<void>;
  #failure: { readonly error: unknown } | undefined;
  #answers = 0;

  private constructor(address: string, model: string, picture: Buffer, versions: readonly LargeVersion[]) {
    this.#client = createInferenceClient({ address, timeoutMs: HANG_MS });
    this.#model = model;
    this.#picture = picture;
    versions.forEach((version) => this.expect(version));
    this.#loop = this.#run();
  }

  static async start(address: string, model: string, ...versions: readonly LargeVersion[]): Promise<PredictLoop> {
    return new PredictLoop(address, model, await makePicture([PATCH]), versions);
  }

  get answers(): number {
    return this.#answers;
  }

  /** To be told before the version can serve. */
  expect({ digest, classIndex }: LargeVersion): void {
    this.#expected.set(digest, classIndex);
  }

  /** Waits for answers to two requests, one of which began now. @throws what was wrong at any time before. */
  async caughtUp(): Promise<void> {
    const enough = this.#answers + 2;
    while (this.#answers < enough && this.#failure === undefined) {
      await setTimeout(PAUSE_MS);
    }
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort();
    await this.#loop;
    this.#client.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted && this.#failure === undefined) {
      try {
        const options = { classification: this.#model, retry: NO_RETRY, signal };
        const { flakes, summary } = await this.#client.predictFlakes(this.#picture, options);
        const digest = summary.models[0]?.manifestDigest ?? '';
        assert.deepEqual(
          flakes.map(({ classIndex }) => classIndex),
          [this.#expected.get(digest)],
          `the answer of ${digest}`,
        );
        this.#answers += 1;
      } catch (error) {
        if (!signal.aborted) {
          this.#failure = { error };
        }
      }
      await setTimeout(PAUSE_MS);
    }
  }
}
