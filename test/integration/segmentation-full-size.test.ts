import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import type { PredictOptions } from '../../clients/predict-request.ts';
import { collectFlakes, type PredictEvent } from '../../clients/prediction.ts';
import { peakBytes } from '../../inference/engine/heavy-model.ts';
import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import { Stage } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { LIMITS, readGolden } from '../support/m2f/goldens.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { standStill } from '../support/processes.ts';
import { needsReferenceData, referencePath } from '../support/reference-data.ts';
import { TestSystem } from '../support/system.ts';

const SEG = 'SEG_M2F_SynthFull';
const CLS = 'CLS_AMM_GrapheneH';
/** Heavy engines leave the processor to all others: on a busy machine a run of ten seconds takes minutes. */
const CALL_MS = 1_800_000;

/** So many light images are sent and answered while a heavy run stands still in the middle, and at most so many while it goes on. */
const LIGHT_IN_A_RUN = 10;

describe('a served Mask2Former model of the published size', needsReferenceData, () => {
  let system: TestSystem;
  let path = '';
  /** All that heavy models may take: exactly what this one is counted for. */
  let limitBytes = 0;
  before(async () => {
    system = await TestSystem.start({ inference: false });
    const bundle = join(system.folder, SEG);
    mkdirSync(bundle);
    copyFileSync(synthFullPath('config.yaml'), join(bundle, 'config.yaml'));
    writeCheckpoint(join(bundle, 'model_final.pth'), synthFullTensors());
    const publishable = await openPublishable(bundle, new AbortController().signal);
    const { manifestBytes, files } = publishable;
    await system.registry.ensureModel({ name: SEG, kind: ModelKind.MODEL_KIND_SEGMENTATION });
    const { version } = await system.registry.publishVersion({ model: SEG, manifestBytes, files });
    await publishable.close();
    limitBytes = peakBytes(publishable.manifest);
    await system.startInference({
      HEAVY_WARM_UP_PIXELS: '2304000',
      HEAVY_MEMORY_BYTES: String(limitBytes),
      HEAVY_LOAD_TIMEOUT_MS: String(CALL_MS),
      HEAVY_RUN_LIMIT_MS: String(CALL_MS),
    });
    await system.release(referencePath('bundles', 'classification_models', 'AMM', 'GrapheneH'), CLS);
    await system.promote(version);
    const { image } = JSON.parse(readFileSync(referencePath('m2f', 'goldens', 'SynthFull_full', 'meta.json'), 'utf8')) as {
      image: string;
    };
    path = referencePath('images', image);
  });
  after(() => system[Symbol.asyncDispose]());

  const predict = async (options: PredictOptions): Promise<readonly Flake[]> =>
    (await system.inference.predictFlakes({ path }, { timeoutMs: CALL_MS, scoreThreshold: 0, ...options })).flakes;

  it("gives the reference's scores on a whole image", async () => {
    const { instances } = await readGolden('SynthFull_full');
    const expected = instances.filter(({ area }) => area > 0);
    const flakes = await predict({ segmentation: SEG, sizeThreshold: 0 });
    assert.equal(flakes.length, expected.length);
    const worst = Math.max(...expected.map(({ score }, index) => Math.abs(score - (flakes[index]?.score ?? Number.NaN))));
    assert.ok(worst <= LIMITS.SynthFull_full.score, `scores differ by ${worst}`);
  });

  it('two images at once with a classifier, and light ones all the while: nothing starves, memory stays within the limit', async (t) => {
    const { engines } = await system.inference.getStatus();
    const heavy = engines.find(({ heavyVersion }) => heavyVersion !== '') ?? assert.fail('no heavy engine');
    const alone = await predict({ classification: CLS });
    const stopped = async (): Promise<void> => {
      // However fast either model is: the run is under way, and cannot end before all of these are answered.
      using _standing = standStill(heavy.pid);
      for (let light = 0; light < LIGHT_IN_A_RUN; light += 1) {
        assert.deepEqual(await predict({ classification: CLS }), alone);
      }
    };
    const runs = [new HeavyRun(stopped), new HeavyRun(stopped)] as const;
    const options = { segmentation: SEG, classification: CLS, timeoutMs: CALL_MS, scoreThreshold: 0 };
    const both = Promise.all(runs.map(async (run) => collectFlakes(run.follow(system.inference.predict({ path }, options)))));
    // Whoever waits below meets it.
    both.catch(() => undefined);
    // Also while the processor is shared: a light image takes a fiftieth of a run, and the heavy engine leaves the rest to it.
    while (runs.some(({ isOver }) => !isOver)) {
      const underWay = runs.filter(({ isRunning, light }) => isRunning && light < LIGHT_IN_A_RUN);
      if (underWay.length === 0) {
        await setTimeout(20);
        continue;
      }
      assert.deepEqual(await predict({ classification: CLS }), alone);
      for (const run of underWay) {
        run.noteLight();
      }
    }
    const [one, other] = await both;
    for (const { light } of runs) {
      t.diagnostic(`${light} light images were sent and answered within one heavy run`);
      assert.ok(light > 0, 'none was sent and answered within a heavy run');
    }
    assert.deepEqual(one?.flakes, other?.flakes);
    if (process.platform === 'linux') {
      const most = peakResidentBytes(heavy.pid);
      assert.ok(most > limitBytes / 4 && most <= limitBytes, `${most} bytes at the peak, the limit is ${limitBytes}`);
    }
    const left = (await system.inference.getStatus()).engines;
    assert.ok(left.every(({ restarts }) => restarts === 0));
  });
});

/** One prediction as its events tell of it. */
class HeavyRun {
  /** The model runs: nothing but its end can be heard meanwhile. */
  isRunning = false;
  isOver = false;
  /** Light images that were sent and answered within the run. */
  light = 0;
  readonly #onRun: () => Promise<void>;

  /** The run's events wait for `onRun`, which is called once the model runs. */
  constructor(onRun: () => Promise<void>) {
    this.#onRun = onRun;
  }

  async *follow(events: AsyncIterable<PredictEvent>): AsyncGenerator<PredictEvent> {
    try {
      for await (const event of events) {
        if (event.$case === 'progress') {
          const { stage } = event.value;
          if (stage === Stage.STAGE_SEGMENT) {
            await this.#onRun();
          }
          this.isRunning = stage === Stage.STAGE_SEGMENT;
        }
        yield event;
      }
    } finally {
      this.isRunning = false;
      this.isOver = true;
    }
  }

  /** A light image that was sent while this ran has its answer. */
  noteLight(): void {
    this.light += this.isRunning ? 1 : 0;
  }
}

/** The most that a process ever had resident, as the kernel notes it. */
function peakResidentBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
