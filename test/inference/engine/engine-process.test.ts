import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EngineProcess } from '../../../inference/engine/engine-process.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { eventually } from '../../support/eventually.ts';
import { job, scriptedServable, settingsOf } from '../../support/scripted-generation.ts';
import { isError } from '../../support/service-errors.ts';

for (const [first, { runLimitMs, graceMs, how, isReplaced }] of Object.entries({
  hung: { runLimitMs: 1000, graceMs: 2000, how: /longer than any may/, isReplaced: false },
  'given up': { runLimitMs: 2000, graceMs: 1000, how: /nobody waited any more/, isReplaced: true },
})) {
  test(`an engine that was ended as ${first} ended for that, whatever is found before its process is gone`, async (t) => {
    const { engine } = await EngineProcess.start(
      settingsOf().modulePath,
      [scriptedServable('good')],
      settingsOf(),
      new AbortController().signal,
    );
    t.after(() => engine.kill());
    const stop = new AbortController();
    const deaf = job('ignore cancel', stop.signal);
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const run = engine.run(deaf, { runLimitMs, cancelGraceMs: () => graceMs });
    const ended = assert.rejects(run, isError('deadline-exceeded', 'DEADLINE_EXCEEDED'));
    await eventually(() => deaf.stages.length > 0);
    stop.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
    // Its exit can be heard no earlier than in the next turn.
    t.mock.timers.tick(1000);
    assert.equal(engine.isEnding, true);
    t.mock.timers.tick(1000);
    assert.equal(engine.isReplaced, isReplaced);
    assert.match(await engine.exited, how);
    await ended;
  });
}
