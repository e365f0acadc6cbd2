import { once } from 'node:events';
import { connect } from 'node:net';
import type { SeededRandom } from './seeded-random.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const MOMENT_MS = 20;

/** What reaches a port that is not, or not quite, HTTP/2. */
export function socketGarbage(random: SeededRandom): Buffer {
  const frames = (): Buffer => Buffer.concat(Array.from({ length: random.between(1, 6) }, () => http2Frame(random)));
  return random.pick<() => Buffer>([
    () => random.bytes(random.between(1, 500)),
    () =>
      Buffer.from(
        random.pick(['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nx', '\r\n']),
      ),
    // A TLS client's first words.
    () => Buffer.concat([Buffer.from('16030100c8010000c40303', 'hex'), random.bytes(190)]),
    () => PREFACE.subarray(0, random.between(1, PREFACE.byteLength)),
    () => Buffer.concat([PREFACE, random.bytes(random.between(1, 300))]),
    () => Buffer.concat([PREFACE, http2Frame(random, 4, 0), frames()]),
    () => Buffer.concat([PREFACE, http2Frame(random, 4, 0), frames(), random.bytes(random.between(1, 8))]),
  ])();
}

/** Sends bytes, waits for the server to close or a moment to pass, and leaves. */
export async function sendRaw(address: string, bytes: Uint8Array): Promise<'closed' | 'left'> {
  const port = Number(address.split(':').at(-1));
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  const closed = once(socket, 'close').then(() => 'closed' as const);
  socket.write(bytes);
  const left = new Promise<'left'>((resolve) => {
    setTimeout(() => resolve('left'), MOMENT_MS);
  });
  const outcome = await Promise.race([closed, left]);
  socket.destroy();
  await closed;
  return outcome;
}

/** A frame with a plausible head and any content; the length is now and then not its own. */
function http2Frame(random: SeededRandom, type = random.below(11), streamId = random.pick([0, 1, 1, 3, 2, 0x7fff_ffff])): Buffer {
  const content = type === 4 ? Buffer.alloc(0) : random.bytes(random.between(0, 60));
  const head = Buffer.alloc(9);
  head.writeUIntBE(random.isChance(0.1) ? random.pick([0, 0xff_ffff, 16_385]) : content.byteLength, 0, 3);
  head[3] = type;
  head[4] = type === 4 ? 0 : random.below(256);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, content]);
}
