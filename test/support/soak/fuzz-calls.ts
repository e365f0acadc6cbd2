import { deflateSync, gzipSync } from 'node:zlib';
import { frame, type RawCall } from '../raw-grpc.ts';
import { mutate } from './mutate.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { FuzzMethod } from './valid-requests.ts';

/** One way to make a call that nobody should make. */
type CallMaker = (method: FuzzMethod, random: SeededRandom, all: readonly FuzzMethod[]) => MadeCall;

interface MadeCall extends Omit<RawCall, 'path'> {
  readonly path?: string;
  /** HTTP/2 itself may refuse it, without a status of gRPC's. */
  readonly isBadHttp?: boolean;
}

export interface FuzzCall {
  readonly method: FuzzMethod;
  readonly call: RawCall;
  readonly isBadHttp: boolean;
}

/** Decompresses to more than either service takes. */
const BOMB = gzipSync(Buffer.alloc(160 * 1024 * 1024));

const MAKERS: readonly (readonly [weight: number, make: CallMaker])[] = [
  [3, (_, random) => ({ body: [frame(random.bytes(random.between(0, 300)))] })],
  [6, (method, random) => ({ body: framed(damaged(method, random)) })],
  [6, (method, random) => ({ body: framed(method.messages(random, true)) })],
  [2, (_, random, all) => ({ body: framed(random.pick(all).messages(random, false)) })],
  [3, (method, random) => ({ body: framed(shuffled(method, random)) })],
  [2, badFlag],
  [2, badLength],
  [2, badCompression],
  [2, badHeaders],
  [1, (method, random) => ({ body: [mutate(Buffer.concat(framed(method.messages(random, false))), random)] })],
  [
    1,
    (method, random) => ({ body: framed(method.messages(random, false)).slice(0, -1), ending: random.pick(['open', 'reset']) }),
  ],
  [
    1,
    (method, random) => ({ body: cut(framed(method.messages(random, false)), random), ending: random.pick(['open', 'reset']) }),
  ],
];

const WHEEL: readonly CallMaker[] = MAKERS.flatMap(([weight, make]) => Array.from({ length: weight }, () => make));

/** A call made from chance alone, and the method that it is meant for. */
export function fuzzCall(methods: readonly FuzzMethod[], random: SeededRandom): FuzzCall {
  const method = random.pick(methods);
  const { isBadHttp = false, path = method.path, ...made } = random.pick(WHEEL)(method, random, methods);
  return { method, call: { isEndless: method.isEndless, path, ...made }, isBadHttp };
}

function framed(messages: readonly Uint8Array[]): Buffer[] {
  return messages.map((message) => frame(message));
}

function damaged(method: FuzzMethod, random: SeededRandom): Buffer[] {
  const messages = method.messages(random, random.isChance(0.3));
  const victim = random.below(messages.length);
  return messages.map((message, index) => (index === victim ? mutate(message, random, messages) : message));
}

/** Messages of a stream out of order, left out and said twice; of a single request none, or two. */
function shuffled(method: FuzzMethod, random: SeededRandom): Buffer[] {
  const messages = [...method.messages(random, false), ...method.messages(random, false)];
  for (let changes = random.between(1, 4); changes > 0; changes -= 1) {
    const [taken] = messages.splice(random.below(messages.length), 1);
    if (taken !== undefined && random.isChance(0.7)) {
      messages.splice(random.below(messages.length + 1), 0, taken);
    }
  }
  return messages;
}

function badFlag(method: FuzzMethod, random: SeededRandom): MadeCall {
  const encoding = random.pick(['identity', 'gzip', 'deflate', 'snappy', 'zstd', 'nonsense']);
  const flag = random.pick([1, 1, 2, 0x7f, 0x80, 0xff]);
  return {
    body: method.messages(random, false).map((message) => frame(message, { flag })),
    headers: random.isChance(0.7) ? { 'grpc-encoding': encoding } : {},
  };
}

function badLength(method: FuzzMethod, random: SeededRandom): MadeCall {
  const messages = method.messages(random, false);
  const length = random.pick([0, 1, 0xffff, 8 * 1024 * 1024 + 1, 128 * 1024 * 1024 + 1, 0x7fff_ffff, 0xffff_ffff]);
  const victim = random.below(messages.length);
  return { body: messages.map((message, index) => (index === victim ? frame(message, { length }) : frame(message))) };
}

function badCompression(method: FuzzMethod, random: SeededRandom): MadeCall {
  const encoding = random.pick(['gzip', 'deflate'] as const);
  const [message = Buffer.alloc(0)] = method.messages(random, false);
  const compressed = encoding === 'gzip' ? gzipSync(message) : deflateSync(message);
  const sent = random.pick([compressed, mutate(compressed, random), random.bytes(50), random.isChance(0.2) ? BOMB : compressed]);
  return { body: [frame(sent, { flag: 1 })], headers: { 'grpc-encoding': encoding } };
}

function badHeaders(method: FuzzMethod, random: SeededRandom): MadeCall {
  const body = framed(method.messages(random, false));
  const service = method.path.slice(0, method.path.lastIndexOf('/'));
  const made = random.pick<() => MadeCall>([
    () => ({
      body,
      headers: { 'grpc-timeout': random.pick(['', '1', 'x', '-1S', '1X', '123456789S', '0n', '1n', '99999999H']) },
    }),
    () => ({ body, headers: { 'content-type': random.pick(['', 'text/plain', 'application/grpc+json', 'application/grpc\t']) } }),
    () => ({ body, headers: { ':method': random.pick(['GET', 'PUT', 'OPTIONS', 'NONSENSE']) } }),
    () => ({ body, headers: { 'x-request-id': random.pick(['', ' ', 'a'.repeat(5000), 'caf\u00e9']) } }),
    () => ({ body, headers: { 'grpc-encoding': 'a'.repeat(1000), 'grpc-accept-encoding': ',,,' } }),
    () => ({ body, headers: { 'some-bin': random.pick(['!!!', 'AA', 'a'.repeat(4000)]) } }),
    () => ({ body, headers: { padding: 'x'.repeat(random.pick([8000, 15_000])) } }),
    () => ({
      body,
      path: random.pick([`${service}/Nonsense`, `${service}/`, service, '/', '//', '/a b', `${service}/G%00`, '*']),
    }),
    () => ({ body, path: `${service}/${'x'.repeat(10_000)}` }),
  ])();
  return { ...made, isBadHttp: true };
}

function cut(frames: readonly Buffer[], random: SeededRandom): Buffer[] {
  const all = Buffer.concat(frames);
  return [all.subarray(0, random.below(all.byteLength))];
}
