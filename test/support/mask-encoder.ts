import type { Mask } from '../../proto/gen/maskterial/inference/v1/flake.ts';

/** COCO's compressed run lengths of a mask given as a function of column and row; the textbook way, for tests. */
export function encodeMask(width: number, height: number, isSet: (column: number, row: number) => boolean): Mask {
  const runs: number[] = [];
  let value = false;
  let run = 0;
  for (let at = 0; at < width * height; at += 1) {
    if (isSet(Math.floor(at / height), at % height) !== value) {
      runs.push(run);
      run = 0;
      value = !value;
    }
    run += 1;
  }
  runs.push(run);
  return {
    width,
    height,
    counts: runs.map((length, index) => encodeRun(index > 2 ? length - (runs[index - 2] ?? 0) : length)).join(''),
  };
}

function encodeRun(value: number): string {
  let text = '';
  let rest = value;
  for (let more = true; more; ) {
    let bits = rest & 31;
    rest >>= 5;
    more = (bits & 16) !== 0 ? rest !== -1 : rest !== 0;
    bits |= more ? 32 : 0;
    text += String.fromCharCode(bits + 48);
  }
  return text;
}
