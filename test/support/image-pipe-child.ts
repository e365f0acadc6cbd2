// The main of a process that takes images as an engine does, and tells the digest of each.
import process from 'node:process';
import { ImagePipe } from '../../inference/engine/image-pipe.ts';
import { refOf } from '../../proto/wire/digest.ts';

const pipe = new ImagePipe((why) => {
  process.send?.(`broken: ${why.message}`, () => process.exit(1));
});
process.on('message', (sizeBytes: number) => {
  void pipe.receive(sizeBytes).then((image) => process.send?.(refOf(image).digest));
});
process.on('disconnect', () => process.exit(0));
