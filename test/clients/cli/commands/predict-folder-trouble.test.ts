import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { toRpcStatus } from '../../../../proto/wire/status.ts';
import { FakeInference, failWith, type PredictScript } from '../../../support/fake-inference.ts';
import { answerBy, predictCommand } from '../../../support/predict-command.ts';
import { byVersion, NAMES, scanFolder } from '../../../support/scan-folder.ts';

test('a server that goes away in the middle is waited for, and every image comes out once', async (t) => {
  const { scan } = await scanFolder(t);
  const inference = new FakeInference(byVersion(3));
  const { predictStream } = inference;
  let calls = 0;
  inference.predictStream = async function* (requests, context) {
    calls += 1;
    for await (const response of predictStream(requests, context)) {
      yield response;
      if (calls === 1 && response.event?.$case === 'summary') {
        throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down');
      }
    }
  };
  const { code, out: csv, err } = await predictCommand([scan, '--csv'], inference);
  assert.equal(code, EXIT.ok);
  assert.equal(calls, 2);
  assert.deepEqual(
    csv
      .trim()
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(',').slice(0, 2).join(' ')),
    NAMES.flatMap((name) => [`${join(scan, name)} 0`, `${join(scan, name)} 1`]),
  );
  assert.match(err, /^maskterial: waiting up to 60 s: the server is shutting down$/m);
  assert.match(err, /^maskterial: going on$/m);
});

test('a server that stays away ends the run with what was done, after the time that was named', async (t) => {
  const { scan } = await scanFolder(t);
  const inference = new FakeInference(byVersion(3));
  const { predictStream } = inference;
  inference.predictStream = async function* (requests, context) {
    for await (const response of predictStream(requests, context)) {
      yield response;
      if (response.event?.$case === 'summary') {
        break;
      }
    }
    inference.predictStream = () => failWith(new ServiceError('unavailable', 'SHUTTING_DOWN', 'gone'));
    throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'gone');
  };
  const { code, err } = await predictCommand([scan, '--retry-for', '2'], inference);
  assert.equal(code, EXIT.unavailable);
  assert.match(err, /^maskterial: waiting up to 2 s: gone$/m);
  assert.match(err, /^1 of 3 images done, 2 flakes\n2 images not done\nmaskterial: error: gone \[SHUTTING_DOWN\]$/m);
});

test('an image that takes its engine down each time is given up and listed; the others are done', async (t) => {
  const { scan, nameOf } = await scanFolder(t);
  const script: PredictScript = (request) =>
    nameOf(request.image) === '2.png'
      ? failWith(new ServiceError('unavailable', 'ENGINE_CRASHED', 'the engine ended with SIGSEGV'))
      : answerBy(3, undefined);
  const { code, err, inference } = await predictCommand([scan], script);
  assert.equal(code, EXIT.failed);
  assert.equal(inference.requests.filter(({ image }) => nameOf(image) === '2.png').length, 3);
  assert.match(err, /^2 of 3 images done/m);
  assert.match(
    err,
    /^1 of 3 images failed:\n {2}.*2\.png: the engine ended with SIGSEGV \(given up: tried 3 times\) \[ENGINE_CRASHED\]$/m,
  );
});

test('which versions answer now cannot be learnt from a server that fails', async (t) => {
  const { scan, out } = await scanFolder(t);
  await predictCommand([scan, '--out', out], byVersion(3));
  const gone = await predictCommand([scan, '--out', out], () =>
    failWith(new ServiceError('not-found', 'MODEL_NOT_FOUND', 'no model "CLS"')),
  );
  assert.equal(gone.code, EXIT.failed);
  assert.match(gone.err, /^0 of 3 images done, 0 flakes\n3 images not done\nmaskterial: error: no model "CLS"/m);
  const inference = new FakeInference(async function* () {
    yield* [];
  });
  assert.match((await predictCommand([scan, '--out', out], inference)).err, /did not say which versions/);
});

test('a server that is not ready to say which versions answer is waited for', async (t) => {
  const { scan, out } = await scanFolder(t);
  await predictCommand([scan, '--out', out], byVersion(3));
  const notReady: PredictScript = (_request, _context, call) =>
    call < 4 ? failWith(new ServiceError('unavailable', 'MODEL_NOT_READY', 'loading')) : answerBy(3, undefined);
  const { code, err } = await predictCommand([scan, '--out', out], notReady);
  assert.equal(code, EXIT.ok);
  assert.match(err, /^maskterial: waiting up to 60 s: loading\nmaskterial: going on$/m);
  assert.match(err, /^3 of 3 images done \(3 of them before\)/m);
  const never = await predictCommand([scan, '--out', out, '--retry-for', '0'], notReady);
  assert.equal(never.code, EXIT.unavailable);
  assert.equal(never.inference.requests.length, 1);
});

test('an unknown answer from the server does not pass for an image', async (t) => {
  const { scan } = await scanFolder(t);
  const inference = new FakeInference(() => failWith(new Error('streams only')));
  inference.predictStream = async function* (requests) {
    for await (const { request } of requests) {
      if (request?.$case === 'begin') {
        const error = toRpcStatus(new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'x'));
        yield { imageId: 'stranger', event: { $case: 'error', value: error } };
      }
    }
  };
  const { code, err } = await predictCommand([scan], inference);
  assert.equal(code, EXIT.failed);
  assert.match(err, /"stranger", which was never sent/);
});
