import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { InferenceClient, StreamImage } from '../../clients/inference-client.ts';
import { EventQueue } from '../../inference/pipeline/event-queue.ts';
import { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import type { UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';
import { makePicture, type Patch, writeGmmBundle } from './made-up.ts';
import { TestSystem } from './system.ts';

const MODEL = 'CLS_GMM_Test';
const MOVES = 10;
/** A tenth of a second of an engine's work, so that the images of one move last about as long as the load that it causes. */
const SIZE = { width: 1600, height: 1200 };
const PICTURES = 5;

export interface SwapStream {
  readonly images: number;
  readonly loads: number;
  /** How many images each version answered. */
  readonly answeredBy: Readonly<Record<number, number>>;
}

/** What came of one image: events, and the encoded flakes. */
interface Outcome {
  used: readonly UsedModel[];
  readonly flakes: Uint8Array[];
  isDone: boolean;
}

/**
 * One PredictStream call of at least `images` images, during which production is moved back and forth ten times between two
 * versions, each time loading a generation that was not there. Asserts that no image fails, that none waits for a load, and that
 * each names the version and manifest that produced it and has that version's own flakes, byte by byte.
 */
export async function streamThroughSwaps(images: number): Promise<SwapStream> {
  await using system = await TestSystem.start();
  const one = await system.release(await writeGmmBundle(join(system.folder, 'one'), { 1: -0.15, 2: -0.4 }), MODEL);
  const two = await system.publish(await writeGmmBundle(join(system.folder, 'two'), { 1: -0.4, 2: -0.15 }), MODEL);
  const pictures = await makePictures();
  const own = new Map<string, readonly Uint8Array[][]>();
  for (const version of [one, two]) {
    own.set(digestOf(version), await answersOf(system.inference, version, pictures));
  }
  assert.notDeepEqual(own.get(digestOf(one)), own.get(digestOf(two)));
  // A server of its own for the stream: this one has both versions loaded, since they were asked for by number.
  await system.stopInference();
  await system.startInference();
  await system.untilServing(one);

  const outcomes = new Map<string, Outcome>();
  const sent = new EventQueue<StreamImage>();
  const work = readAll(system.inference, sent, outcomes);
  // Whoever waits below meets it.
  work.catch(() => undefined);
  let begun = 0;
  const push = (): string => {
    const picture = begun % PICTURES;
    const id = `${begun} ${picture}`;
    begun += 1;
    sent.push({ id, image: pictures[picture] ?? Buffer.alloc(0) });
    return id;
  };
  /** Sends an image that is answered by what serves now. */
  const sendToServing = async (): Promise<void> => {
    const id = push();
    while (!outcomes.has(id)) {
      await Promise.race([setTimeout(1), work]);
    }
  };
  const send = async (): Promise<void> => {
    push();
    // There is always an image in hand, and a core for the generation that loads.
    while (unfinished(outcomes, begun) > 1) {
      await Promise.race([setTimeout(1), work]);
    }
  };
  const generations = new Set<number>();
  await sendToServing();
  for (let move = 1; move <= MOVES; move += 1) {
    const target = move % 2 === 1 ? two : one;
    let isMoved = false;
    const moved = system.promote(target).then(async () => {
      await system.untilServing(target);
      isMoved = true;
    });
    const enough = Math.ceil((images * move) / MOVES);
    while (!isMoved || begun < enough) {
      await send();
    }
    await moved;
    await sendToServing();
    const { engines } = await system.inference.getStatus();
    engines.forEach(({ generation }) => generations.add(generation));
  }
  sent.end();
  await work;
  assert.ok(begun >= images);
  assert.equal(outcomes.size, begun);
  const answeredBy: Record<number, number> = {};
  for (const [id, { used, flakes, isDone }] of outcomes) {
    assert.ok(isDone, id);
    const [model, ...others] = used;
    assert.deepEqual(others, []);
    const version = [one, two].find(({ version: number }) => number === model?.version);
    assert.ok(version !== undefined && model?.manifestDigest === digestOf(version), `${id}: ${JSON.stringify(model)}`);
    assert.deepEqual(flakes, own.get(digestOf(version))?.[Number(id.split(' ')[1])], id);
    answeredBy[version.version] = (answeredBy[version.version] ?? 0) + 1;
  }
  assert.deepEqual(
    Object.keys(answeredBy),
    [one, two].map(({ version }) => String(version)),
  );
  assert.ok(generations.size >= MOVES, `each move loaded a generation: ${[...generations].join(', ')}`);
  return { images: begun, loads: generations.size, answeredBy };
}

/** Reads the whole stream: events of each image, in any order. */
async function readAll(client: InferenceClient, sent: EventQueue<StreamImage>, outcomes: Map<string, Outcome>): Promise<void> {
  for await (const { imageId, event } of client.predictStream(sent, { classification: MODEL })) {
    const outcome = outcomes.get(imageId) ?? { used: [], flakes: [], isDone: false };
    outcomes.set(imageId, outcome);
    switch (event.$case) {
      case 'accepted':
        outcome.used = event.value.models;
        break;
      case 'flake':
        outcome.flakes.push(Flake.encode(event.value).finish());
        break;
      case 'summary':
        assert.deepEqual(event.value.models, outcome.used, imageId);
        assert.equal(event.value.flakeCount, outcome.flakes.length);
        outcome.isDone = true;
        break;
      case 'loading':
        assert.fail(`image ${imageId} waited for ${event.value.model}:${event.value.version} to load`);
        break;
      case 'error':
        throw event.value instanceof Error ? event.value : fromRpcStatus(event.value);
      case 'progress':
        break;
    }
  }
}

function unfinished(outcomes: ReadonlyMap<string, Outcome>, begun: number): number {
  return begun - [...outcomes.values()].filter(({ isDone }) => isDone).length;
}

async function answersOf(client: InferenceClient, { version }: Version, pictures: readonly Buffer[]): Promise<Uint8Array[][]> {
  const answers: Uint8Array[][] = [];
  for (const picture of pictures) {
    const { flakes } = await client.predictFlakes(picture, { classification: `${MODEL}:${version}` });
    assert.ok(flakes.length > 0);
    answers.push(flakes.map((flake) => Flake.encode(flake).finish()));
  }
  return answers;
}

/** Different ones, so that an answer to another image is not taken for the right one. */
async function makePictures(): Promise<Buffer[]> {
  return Promise.all(
    Array.from({ length: PICTURES }, (_, index) => {
      const patch = (x: number, contrast: number): Patch => ({ x, y: 60 + index * 40, width: 40 + index, height: 30, contrast });
      return makePicture([patch(50, -0.15), patch(200, -0.4), patch(500, -0.15)], SIZE);
    }),
  );
}

function digestOf({ manifest }: Version): string {
  return manifest?.digest ?? '';
}
