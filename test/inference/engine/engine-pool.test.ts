import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission } from '../../../inference/engine/admission.ts';
import { EnginePool } from '../../../inference/engine/engine-pool.ts';
import { EngineProcess } from '../../../inference/engine/engine-process.ts';
import type { HeavyDeps } from '../../../inference/engine/heavy-runs.ts';
import { RunGate } from '../../../inference/engine/run-gate.ts';
import { job, scriptedServable, settingsOf } from '../../support/scripted-generation.ts';

test('a heavy run that fails before its engine hears of it fails alone, and the next one has its turn', async (t) => {
  const settings = settingsOf({ engines: 1 });
  const servables = [scriptedServable('good')];
  const { engine } = await EngineProcess.start(settings.modulePath, servables, settings, new AbortController().signal);
  const gate = new RunGate(1);
  const failures = [new Error('no bound')];
  const heavy: HeavyDeps = {
    gate,
    reloadMs: 1,
    graceMs: () => 1,
    onSpawned: () => undefined,
    bound: () => {
      const failure = failures.pop();
      if (failure !== undefined) {
        throw failure;
      }
      return undefined;
    },
    memory: { peakBytes: 1, shareBytes: () => 1, allowedBytes: () => 1, takenBytes: () => 1 },
    onLessHeld: () => undefined,
  };
  const deps = { generation: 1, onEvent: () => undefined, admission: new Admission(settings), heavy };
  const pool = new EnginePool(servables, [engine], settings, deps);
  t.after(() => pool.close());
  await assert.rejects(pool.predict(job('done')), /no bound/);
  assert.equal(gate.isOpen, true);
  assert.equal((await pool.predict(job('done'))).distinctColours, engine.pid);
});
