import assert from 'node:assert/strict';
import { NO_RETRY } from '../../clients/retry.ts';
import { HANG_MS } from '../support/hang-limit.ts';
import { makePicture } from '../support/made-up.ts';
import { FUZZ_MODEL, FuzzBench } from '../support/soak/fuzz-bench.ts';
import { fuzzImage, seedImages } from '../support/soak/fuzz-images.ts';
import { inHalves } from '../support/soak/halves.ts';
import { assertListed } from '../support/soak/listed-errors.ts';
import { soakTest } from '../support/soak/soak.ts';
import { Tally } from '../support/soak/tally.ts';

const IMAGES = 4_000;
/** Of all images: one call each, or a few in a stream. */
const STREAM_OF = 5;
/** What is wrong with an image is the caller's to know, and nothing that trying again would help. */
const REASONS: ReadonlySet<string> = new Set(['UNDECODABLE_IMAGE', 'IMAGE_TOO_LARGE', 'NO_BACKGROUND', 'INVALID_REQUEST']);

soakTest(
  import.meta.url,
  'damaged images: each is answered or refused with a listed error, alone, and no engine ends over one',
  async (run) => {
    await using bench = await FuzzBench.start();
    const seeds = await seedImages(run.random('seed images'));
    const tally = new Tally();
    const { inferenceClient } = bench;
    const options = { classification: FUZZ_MODEL, retry: NO_RETRY, timeoutMs: HANG_MS };
    const imageOf = (input: number): Buffer => fuzzImage(seeds, run.random(`image ${input}`));
    const refused = (error: unknown, input: number): void => {
      assertListed(error, `input ${input}`);
      assert.ok(REASONS.has(error.reason), `input ${input}: ${error.kind} ${error.reason}: ${error.message}`);
      assert.equal(error.kind, 'invalid-argument');
      tally.count(error.reason);
    };

    const alone = async (input: number): Promise<void> => {
      try {
        await inferenceClient.predictFlakes(imageOf(input), options);
        tally.count('answered');
      } catch (error) {
        refused(error, input);
      }
    };
    const streamed = async (inputs: readonly number[]): Promise<void> => {
      const images = inputs.map((input) => ({ id: String(input), image: imageOf(input) }));
      const left = new Set(images.map(({ id }) => id));
      for await (const outcome of inferenceClient.predictAll(images, options)) {
        left.delete(outcome.imageId);
        if ('error' in outcome) {
          refused(outcome.error, Number(outcome.imageId));
        } else {
          tally.count('answered in a stream');
        }
      }
      assert.deepEqual([...left], [], 'every image has its last event');
    };
    // Memory that the largest image needs is kept for the next one: each engine has met one before anything is measured.
    const largest = await makePicture([], { width: 7000, height: 7072 });
    await Promise.all(Array.from({ length: 4 }, () => inferenceClient.predictFlakes(largest, options)));
    const inputs = run.inputs(IMAGES);
    const streams = Array.from({ length: Math.ceil(inputs.length / STREAM_OF) }, (_, index) =>
      inputs.slice(index * STREAM_OF, (index + 1) * STREAM_OF),
    );
    const half = Math.ceil(streams.length / 2);
    await inHalves(
      bench,
      [
        ...streams.slice(0, half).map((some) => () => streamed(some)),
        ...streams
          .slice(half)
          .flat()
          .map((input) => () => alone(input)),
      ],
      run.say,
    );
    await bench.assertClean();
    run.say(`${inputs.length} inputs: ${tally.summary()}`);
  },
);
