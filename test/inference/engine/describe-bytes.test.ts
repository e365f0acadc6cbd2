import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBytes } from '../../../inference/engine/describe-bytes.ts';

for (const [name, bytes] of [
  ['JPEG', Buffer.from('ffd8ffe000104a46', 'hex')],
  ['PNG', Buffer.from('89504e470d0a1a0a', 'hex')],
  ['TIFF', Buffer.from('II*\0')],
  ['TIFF', Buffer.from('MM\0*')],
  ['WebP', Buffer.from('RIFF\x0a\0\0\0WEBPVP8 ', 'latin1')],
  ['GIF', Buffer.from('GIF89a')],
  ['BMP', Buffer.from('BM\x0a\x01\0\0\0\0\0\0', 'latin1')],
  ['PDF', Buffer.from('%PDF-1.7')],
  ['HEIF or AVIF', Buffer.from('\0\0\0\x1cftypheic', 'latin1')],
  ['HEIF or AVIF', Buffer.from('\0\0\0\x0aftypavif', 'latin1')],
  ['JPEG 2000', Buffer.from('0000000c6a5020200d0a870a', 'hex')],
  ['JPEG XL', Buffer.from('ff0a', 'hex')],
  ['ZIP', Buffer.from('PK\x03\x04')],
  ['gzip', Buffer.from('1f8b08', 'hex')],
  ['SVG', Buffer.from('<?xml version="1.0"?>\n<!-- a comment -->\n<svg width="1">')],
  ['HTML or XML', Buffer.from('<!DOCTYPE html><html>')],
  ['unknown content', Buffer.from('hello')],
] as const) {
  test(`${bytes
    .subarray(0, 12)
    .toString('latin1')
    .replaceAll(/[^ -~]/g, '.')} is ${name}`, () => {
    const shown = bytes.subarray(0, 8).toString('hex');
    assert.equal(describeBytes(bytes), `${name}, ${bytes.byteLength} bytes beginning ${shown}`);
  });
}

test('nothing is no bytes', () => {
  assert.equal(describeBytes(new Uint8Array()), 'no bytes');
});
