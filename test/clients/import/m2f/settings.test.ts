import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type M2fSettings, parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { expectedTensors, IGNORED_TENSORS } from '../../../../clients/import/m2f/tensors.ts';
import { assertBundleError } from '../../../support/bundle-errors.ts';
import { type ConfigChanges, configText, TINY } from '../../../support/m2f/random-model.ts';
import { needsReferenceData, referencePath } from '../../../support/reference-data.ts';

const FILE = 'config.yaml';
const parse = (changes: ConfigChanges): M2fSettings => parseM2fSettings(Buffer.from(configText(TINY, changes)), FILE);

describe('the settings of a Mask2Former model', () => {
  it('are those of the config', () => {
    const settings = parse({ 'MODEL.RESNETS.DEPTH': 101, 'MODEL.MASK_FORMER.ENFORCE_INPUT_PROJ': true });
    assert.deepEqual(settings.pixelMean, [107, 148, 85]);
    assert.deepEqual(
      settings.backbone.stages.map(({ name, blocks, inputs, width, outputs, stride }) => [
        name,
        blocks,
        inputs,
        width,
        outputs,
        stride,
      ]),
      [
        ['res2', 3, 6, 4, 12, 1],
        ['res3', 4, 12, 8, 24, 2],
        ['res4', 23, 24, 16, 48, 2],
        ['res5', 3, 48, 32, 96, 2],
      ],
    );
    assert.deepEqual(settings.pixelDecoder, { width: 32, heads: 4, layers: 2, maskWidth: 20 });
    const { layers, hasInputProjection } = settings.maskDecoder;
    assert.deepEqual([layers, hasInputProjection], [4, true]);
    assert.ok(expectedTensors(settings).has('sem_seg_head.predictor.input_proj.2.weight'));
  });

  it('ask for the tensors of the published checkpoints, in their order', needsReferenceData, () => {
    const bytes = readFileSync(referencePath('m2f', 'SynthFull', 'config.yaml'));
    const text = readFileSync(referencePath('m2f', 'state_dict_shapes.json'), 'utf8');
    const { shapes } = JSON.parse(text) as { shapes: Record<string, number[]> };
    const expected = expectedTensors(parseM2fSettings(bytes, FILE));
    const published = Object.entries(shapes).filter(([name]) => !IGNORED_TENSORS.has(name));
    assert.deepEqual(Object.fromEntries(expected), Object.fromEntries(published));
    assert.equal(published.length, 557);
  });

  const unsupported: readonly (readonly [string, unknown])[] = [
    ['INPUT.FORMAT', 'RGB'],
    ['MODEL.BACKBONE.NAME', 'D2SwinTransformer'],
    ['MODEL.RESNETS.DEPTH', 18],
    ['MODEL.RESNETS.NORM', 'BN'],
    ['MODEL.RESNETS.RES4_DILATION', 2],
    ['MODEL.RESNETS.RES5_DILATION', 2],
    ['MODEL.RESNETS.OUT_FEATURES', ['res4']],
    ['MODEL.RESNETS.DEFORM_ON_PER_STAGE', [false, true, true, true]],
    ['MODEL.SEM_SEG_HEAD.NAME', 'PerPixelBaselineHead'],
    ['MODEL.SEM_SEG_HEAD.PIXEL_DECODER_NAME', 'BasePixelDecoder'],
    ['MODEL.SEM_SEG_HEAD.NUM_CLASSES', 80],
    ['MODEL.SEM_SEG_HEAD.NORM', ''],
    ['MODEL.SEM_SEG_HEAD.COMMON_STRIDE', 2],
    ['MODEL.SEM_SEG_HEAD.IN_FEATURES', ['res2', 'res3', 'res4']],
    ['MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES', ['res4', 'res5']],
    ['MODEL.MASK_FORMER.TRANSFORMER_DECODER_NAME', 'StandardTransformerDecoder'],
    ['MODEL.MASK_FORMER.TRANSFORMER_IN_FEATURE', 'res5'],
    ['MODEL.MASK_FORMER.PRE_NORM', true],
    ['MODEL.MASK_FORMER.SIZE_DIVISIBILITY', -1],
    ['MODEL.MASK_FORMER.DEC_LAYERS', 2],
    ['MODEL.MASK_FORMER.TEST.INSTANCE_ON', false],
    ['MODEL.MASK_FORMER.TEST.SEMANTIC_ON', true],
    ['MODEL.MASK_FORMER.TEST.PANOPTIC_ON', true],
    ['TEST.DETECTIONS_PER_IMAGE', 5],
  ];
  for (const [key, value] of unsupported) {
    it(`are not supported, and say which: ${key} ${JSON.stringify(value)}`, () => {
      const message = assertBundleError(() => parse({ [key]: value }), FILE, 'UNSUPPORTED_MODEL');
      assert.ok(message.includes(key), message);
      assertBundleError(() => parse({ [key]: undefined }), FILE);
    });
  }

  it('name every value that is not supported', () => {
    const message = assertBundleError(() => parse(Object.fromEntries(unsupported)), FILE, 'UNSUPPORTED_MODEL');
    assert.ok(message.includes('INPUT.FORMAT') && message.includes('12 more'), message);
  });

  it('of Mask R-CNN and others are not supported', () => {
    const changes = { 'MODEL.META_ARCHITECTURE': 'GeneralizedRCNN', 'MODEL.MASK_FORMER.NHEADS': undefined };
    assert.match(
      assertBundleError(() => parse(changes), FILE, 'UNSUPPORTED_MODEL'),
      /GeneralizedRCNN/,
    );
  });

  it('of the short config in a repository are incomplete', () => {
    const short = 'MODEL:\n  META_ARCHITECTURE: MaskFormer\n  RESNETS: {DEPTH: 50}\n';
    const message = assertBundleError(() => parseM2fSettings(Buffer.from(short), FILE), FILE);
    assert.match(message, /MODEL\.MASK_FORMER\.NHEADS.*found nothing/);
  });

  const malformed: readonly (readonly [string, unknown])[] = [
    ['MODEL.PIXEL_MEAN', [1, 2]],
    ['MODEL.PIXEL_STD', [1, 0, 1]],
    ['MODEL.PIXEL_STD', [1, 1, '1']],
    ['MODEL.SEM_SEG_HEAD.CONVS_DIM', 48],
    ['MODEL.SEM_SEG_HEAD.CONVS_DIM', 0],
    ['MODEL.MASK_FORMER.HIDDEN_DIM', 30],
    ['MODEL.MASK_FORMER.NHEADS', 5],
    ['MODEL.MASK_FORMER.NHEADS', '8'],
    ['MODEL.MASK_FORMER.NUM_OBJECT_QUERIES', 1e9],
    ['MODEL.MASK_FORMER.DEC_LAYERS', 0],
    ['MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS', 2.5],
    ['MODEL.RESNETS.WIDTH_PER_GROUP', -4],
    ['MODEL.RESNETS.STRIDE_IN_1X1', 'false'],
    ['MODEL.MASK_FORMER.ENFORCE_INPUT_PROJ', null],
    ['MODEL.META_ARCHITECTURE', 3],
  ];
  for (const [key, value] of malformed) {
    it(`are malformed, and say which: ${key} ${JSON.stringify(value)}`, () => {
      const message = assertBundleError(() => parse({ [key]: value }), FILE);
      assert.ok(message.includes(key), message);
    });
  }

  it('take lists in any order, and more detections than there are queries', () => {
    const features = ['res5', 'res2', 'res4', 'res3'];
    parse({ 'MODEL.SEM_SEG_HEAD.IN_FEATURES': features, 'TEST.DETECTIONS_PER_IMAGE': 7 });
  });
});
