import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CSV_HEADER, csvRows } from '../../../clients/cli/csv.ts';
import { resultJson } from '../../../clients/cli/result-json.ts';
import { resultTable } from '../../../clients/cli/result-table.ts';
import { formatTable } from '../../../clients/cli/table.ts';
import { flakeAt, summaryOf } from '../../support/predictions.ts';

const FLAKES = [flakeAt(0, 2, 50, 30, 10, 10, 0.5), flakeAt(1, 1, 5, 5, 20, 10, 0.5), flakeAt(2, 2, 80, 10, 12, 10, 0.5)];
const SCALED = { flakes: FLAKES, summary: summaryOf(FLAKES, 0.5) };
const plainFlakes = [flakeAt(0, 1, 5, 5, 20, 10)];
const PLAIN = { flakes: plainFlakes, summary: summaryOf(plainFlakes) };

test('CSV has the fixed columns, CRLF, areas in um^2 and exact versions', () => {
  assert.equal(
    CSV_HEADER + csvRows('scan/a.jpg', SCALED),
    'image,flake,layer,area_px,area_um2,centre_x,centre_y,box_x,box_y,box_width,box_height,max_side_px,min_side_px,score,models\r\n' +
      'scan/a.jpg,0,2 layers,100,25,54.5,34.5,50,30,10,10,9,9,1,CLS_GMM_Test:3\r\n' +
      'scan/a.jpg,1,1 layer,200,50,14.5,9.5,5,5,20,10,19,9,1,CLS_GMM_Test:3\r\n' +
      'scan/a.jpg,2,2 layers,120,30,85.5,14.5,80,10,12,10,11,9,1,CLS_GMM_Test:3\r\n',
  );
});

test('CSV leaves the area in um^2 empty without a scale', () => {
  assert.equal(csvRows('a.jpg', PLAIN), 'a.jpg,0,1 layer,200,,14.5,9.5,5,5,20,10,19,9,1,CLS_GMM_Test:3\r\n');
});

const CELLS: [string, string][] = [
  ['plain.jpg', 'plain.jpg'],
  ['a,b.jpg', '"a,b.jpg"'],
  ['say "hi".jpg', '"say ""hi"".jpg"'],
  ['two\nlines.jpg', '"two\nlines.jpg"'],
  ['=cmd|x.jpg', "'=cmd|x.jpg"],
  ['+1.jpg', "'+1.jpg"],
  ['-1.jpg', "'-1.jpg"],
  ['@SUM(A1).jpg', "'@SUM(A1).jpg"],
  ['\tx.jpg', "'\tx.jpg"],
  ['\rx.jpg', '"\'\rx.jpg"'],
  ['="a",b.jpg', '"\'=""a"",b.jpg"'],
];
for (const [name, cell] of CELLS) {
  test(`CSV cell of ${JSON.stringify(name)}`, () => {
    assert.equal(csvRows(name, PLAIN).slice(0, cell.length + 3), `${cell},0,`);
  });
}

test('JSON has every field, null where there is no value', () => {
  assert.deepEqual(resultJson('a.jpg', PLAIN), {
    image: 'a.jpg',
    width: 120,
    height: 80,
    um_per_px: null,
    models: [
      {
        role: 'classification',
        model: 'CLS_GMM_Test',
        version: 3,
        alias: 'production',
        family: 'GMM',
        manifest_digest: `sha256:${'ab'.repeat(32)}`,
        layers: [
          { class: 1, name: '1 layer' },
          { class: 2, name: '2 layers' },
        ],
      },
    ],
    thresholds: { score_threshold: 0.3, min_class_occupancy: 0.5, size_threshold: 200 },
    background: { b: 100, g: 110, r: 120 },
    distinct_colours: 42,
    timings_ms: { decode: 12.5 },
    request_id: 'request-1',
    flakes: [
      {
        flake: 0,
        class: 1,
        layer: '1 layer',
        area_px: 200,
        area_um2: null,
        centre: { x: 14.5, y: 9.5 },
        box: { x: 5, y: 5, width: 20, height: 10 },
        max_side_px: 19,
        min_side_px: 9,
        max_side_um: null,
        min_side_um: null,
        mean_contrast: { b: -0.1, g: -0.2, r: -0.3 },
        score: 1,
        false_positive_probability: 0,
        mask: { size: [80, 120], counts: plainFlakes[0]?.mask?.counts },
      },
    ],
  });
});

test("JSON gives the original's record under its own field names", () => {
  const reference = {
    thickness: 1,
    size: 200n,
    meanContrast: [0, 0, 0],
    center: [14, 9],
    maxSidelength: 19,
    minSidelength: 9,
    aspectRatio: 2.1,
    falsePositiveProbability: 0,
    entropy: 0,
    bbox: [5, 5, 19, 9],
  };
  const flakes = plainFlakes.map((flake) => ({ ...flake, reference }));
  const text = JSON.stringify(resultJson('a.jpg', { flakes, summary: PLAIN.summary }));
  assert.ok(
    text.includes(
      '"reference":{"thickness":1,"size":200,"mean_contrast":[0,0,0],"center":[14,9],"max_sidelength":19,"min_sidelength":9,' +
        '"aspect_ratio":2.1,"false_positive_probability":0,"entropy":0,"bbox":[5,5,19,9]}',
    ),
    text,
  );
});

test('the table groups by layer with counts and areas', () => {
  assert.equal(
    resultTable('scan/a.jpg', SCALED),
    [
      'scan/a.jpg  120 x 80 px  3 flakes  CLS_GMM_Test:3 (production)',
      '  1 layer: 1 flake, 50 \u00b5m\u00b2',
      '    flake  area \u00b5m\u00b2  centre px   sides \u00b5m  score',
      '        1        50  14.5, 9.5  9.5 x 4.5  1.000',
      '  2 layers: 2 flakes, 55 \u00b5m\u00b2',
      '    flake  area \u00b5m\u00b2   centre px   sides \u00b5m  score',
      '        0        25  54.5, 34.5  4.5 x 4.5  1.000',
      '        2        30  85.5, 14.5  5.5 x 4.5  1.000',
      '',
    ].join('\n'),
  );
});

test('the table is in pixels without a scale, and steers no terminal', () => {
  assert.equal(
    resultTable('a\u001b[2J.jpg', PLAIN),
    [
      'a?[2J.jpg  120 x 80 px  1 flake  CLS_GMM_Test:3 (production)',
      '  1 layer: 1 flake, 200 px',
      '    flake  area px  centre px    sides px  score',
      '        0      200  14.5, 9.5  19.0 x 9.0  1.000',
      '',
    ].join('\n'),
  );
  assert.equal(
    resultTable('a.jpg', { flakes: [], summary: summaryOf([]) }),
    'a.jpg  120 x 80 px  0 flakes  CLS_GMM_Test:3 (production)\n',
  );
});

test('columns are as wide as their widest cell', () => {
  assert.equal(
    formatTable(
      [{ title: 'a' }, { title: 'n', align: 'right' }],
      [
        ['long name', '1'],
        ['x', '1000'],
      ],
    ),
    'a             n\nlong name     1\nx          1000\n',
  );
});
