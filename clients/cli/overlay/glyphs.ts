/**
 * A stroke font of its own, since a bare machine has no fonts to draw text with: printable ASCII and what units need. One unit is a
 * tenth of a capital's height; y grows down, capitals reach from 0 to the baseline at 10, descenders to 13.
 */

/** Height of a capital letter in units. */
const CAP_UNITS = 10;
const SPACING = 2.6;
const STROKE_UNITS = 1.25;

export interface TextStyle {
  /** Height of a capital letter in pixels. */
  readonly capPx: number;
  readonly colour: string;
  /** Colour of a wider line drawn beneath, so that text shows on any background. */
  readonly halo?: string;
}

/** SVG for one line of text; `x` is its left end, `y` its baseline. Characters that the font lacks become boxes. */
export function textSvg(text: string, x: number, y: number, { capPx, colour, halo }: TextStyle): string {
  const scale = capPx / CAP_UNITS;
  let at = x;
  let paths = '';
  for (const character of withoutMarks(text)) {
    const [width, path] = glyphOf(character);
    if (path !== '') {
      paths += `<path transform="translate(${fixed(at)} ${fixed(y - capPx)}) scale(${fixed(scale)})" d="${path}"/>`;
    }
    at += (width + SPACING) * scale;
  }
  const lines = (stroke: string, width: number): string =>
    `<g fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round">${paths}</g>`;
  return (halo === undefined ? '' : lines(halo, STROKE_UNITS + 3)) + lines(colour, STROKE_UNITS);
}

/** Width in pixels. */
export function textWidth(text: string, capPx: number): number {
  let units = 0;
  for (const character of withoutMarks(text)) {
    units += glyphOf(character)[0] + SPACING;
  }
  return (Math.max(0, units - SPACING) * capPx) / CAP_UNITS;
}

/** `text`, or its beginning and "..." where it is wider than `maxPx`. */
export function fitText(text: string, capPx: number, maxPx: number): string {
  if (textWidth(text, capPx) <= maxPx) {
    return text;
  }
  const characters = Array.from(text);
  while (characters.length > 0 && textWidth(`${characters.join('')}...`, capPx) > maxPx) {
    characters.pop();
  }
  return `${characters.join('')}...`;
}

type Glyph = readonly [widthUnits: number, path: string];

/** Letters without their accents: "\u00fc" has no glyph, "u" has. */
function withoutMarks(text: string): string {
  return text.normalize('NFD').replaceAll(/\p{M}/gu, '');
}

function glyphOf(character: string): Glyph {
  return GLYPHS.get(character) ?? MISSING;
}

function fixed(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}

const MISSING: Glyph = [5.5, 'M0 0H5.5V10H0Z'];
const DOT = 'V9.99';
const BOWL_LEFT = 'M5.6 6.7A2.8 3.3 0 1 0 0 6.7A2.8 3.3 0 1 0 5.6 6.7';
const BOWL_RIGHT = 'M0 6.7A2.8 3.3 0 1 1 5.6 6.7A2.8 3.3 0 1 1 0 6.7';
const ROUND_O = 'M0 5A4.2 5 0 1 1 8.4 5A4.2 5 0 1 1 0 5';
const LETTER_P = 'M0 10V0H4Q7 0 7 2.8Q7 5.6 4 5.6H0';
const LETTER_S = 'M6.5 1.8Q5.5 0 3.4 0Q.3 0 .3 2.5Q.3 4.4 3.4 5Q6.8 5.6 6.8 7.6Q6.8 10 3.5 10Q.8 10 0 8';
const MICRO: Glyph = [5, 'M0 3.6V13M0 7.4Q0 10 2.4 10Q4.6 10 5 7.4M5 3.6V10'];

const GLYPHS: ReadonlyMap<string, Glyph> = new Map<string, Glyph>([
  [' ', [2, '']],
  ['!', [0, `M0 0V7M0 10${DOT}`]],
  ['"', [2.2, 'M0 0V2.4M2.2 0V2.4']],
  ['#', [6.2, 'M2 1L1 10M5 1L4 10M.4 3.8H6.2M0 7.2H5.8']],
  ['$', [6.8, `${LETTER_S}M3.5 -1.2V11.2`]],
  ['%', [7.8, 'M6.8 0L1 10M0 2.2A1.6 2.2 0 1 1 3.2 2.2A1.6 2.2 0 1 1 0 2.2M4.6 7.8A1.6 2.2 0 1 1 7.8 7.8A1.6 2.2 0 1 1 4.6 7.8']],
  ['&', [7.4, 'M7.4 10L1.6 3Q.9 2.2 1 1.6Q1.2 0 2.9 0Q4.6 0 4.6 1.8Q4.6 3.2 2.4 4.5Q0 5.8 0 7.6Q.2 10 2.9 10Q5.8 10 6.8 5.6']],
  ["'", [0, 'M0 0V2.4']],
  ['(', [2, 'M2 -1Q0 2 0 5.5Q0 9 2 12']],
  [')', [2, 'M0 -1Q2 2 2 5.5Q2 9 0 12']],
  ['*', [5, 'M2.5 .5V5.5M.3 1.7L4.7 4.3M4.7 1.7L.3 4.3']],
  ['+', [6, 'M0 6H6M3 3V9']],
  [',', [0.5, 'M.5 9.8L0 12']],
  ['-', [3.6, 'M0 6H3.6']],
  ['.', [0, `M0 10${DOT}`]],
  ['/', [4.4, 'M0 11L4.4 -.5']],
  ['0', [6.2, 'M0 5A3.1 5 0 1 1 6.2 5A3.1 5 0 1 1 0 5']],
  ['1', [5, 'M1 2L3.4 0V10']],
  ['2', [6.2, 'M.2 2.6Q.4 0 3.1 0Q6 0 6 2.7Q6 4.4 4.2 6.2L0 10H6.2']],
  ['3', [6.1, 'M.3 1.6Q1.2 0 3 0Q5.7 0 5.7 2.4Q5.7 4.7 2.6 4.7Q6.1 4.8 6.1 7.3Q6.1 10 3 10Q.8 10 0 8.2']],
  ['4', [6.4, 'M4.6 10V0L0 6.8H6.4']],
  ['5', [6.1, 'M5.6 0H1L.5 4.6Q1.6 3.6 3.1 3.6Q6.1 3.7 6.1 6.7Q6.1 10 3 10Q.9 10 0 8.4']],
  ['6', [6.2, 'M5.5 1.2Q4.8 0 3.4 0Q0 0 0 6.7A3.1 3.3 0 1 0 6.2 6.7A3.1 3.3 0 1 0 0 6.7']],
  ['7', [6.2, 'M0 0H6.2L2.2 10']],
  ['8', [6.2, 'M3.1 4.7A2.6 2.35 0 1 1 3.1 0A2.6 2.35 0 1 1 3.1 4.7A3.1 2.65 0 1 1 3.1 10A3.1 2.65 0 1 1 3.1 4.7']],
  ['9', [6.2, 'M.7 8.8Q1.4 10 2.8 10Q6.2 10 6.2 3.3A3.1 3.3 0 1 0 0 3.3A3.1 3.3 0 1 0 6.2 3.3']],
  [':', [0, `M0 4.6V4.61M0 10${DOT}`]],
  [';', [0.5, 'M.5 4.6V4.61M.5 9.8L0 12']],
  ['<', [5.6, 'M5.6 2.6L0 6L5.6 9.4']],
  ['=', [6, 'M0 4.6H6M0 7.6H6']],
  ['>', [5.6, 'M0 2.6L5.6 6L0 9.4']],
  ['?', [5.2, `M0 2.2Q.3 0 2.6 0Q5.2 0 5.2 2.5Q5.2 4 3.6 5Q2.6 5.7 2.6 7M2.6 10${DOT}`]],
  ['@', [8.8, 'M6.4 5A2.2 2.4 0 1 0 2 5A2.2 2.4 0 1 0 6.4 5M6.4 2.8V6Q6.5 7.4 7.6 7.3Q8.8 7 8.8 5A4.4 5 0 1 0 6.8 9.3']],
  ['A', [8, 'M0 10L4 0L8 10M1.4 6.5H6.6']],
  ['B', [7, 'M0 0V10H4.2Q7 10 7 7.3Q7 4.8 4.2 4.8H0M0 0H3.8Q6.3 0 6.3 2.4Q6.3 4.8 3.8 4.8']],
  ['C', [7.6, 'M7.6 2.2A4.2 5 0 1 0 7.6 7.8']],
  ['D', [7.5, 'M0 0V10H3Q7.5 10 7.5 5Q7.5 0 3 0Z']],
  ['E', [6, 'M6 0H0V10H6M0 4.8H5']],
  ['F', [6, 'M6 0H0V10M0 4.8H5']],
  ['G', [7.9, 'M7.6 2.2A4.2 5 0 1 0 7.9 7.2V5.5H4.8']],
  ['H', [7.5, 'M0 0V10M7.5 0V10M0 4.8H7.5']],
  ['I', [0, 'M0 0V10']],
  ['J', [5, 'M5 0V7Q5 10 2.5 10Q0 10 0 7.5']],
  ['K', [7, 'M0 0V10M7 0L0 6.5M2.6 4.2L7 10']],
  ['L', [6, 'M0 0V10H6']],
  ['M', [9, 'M0 10V0L4.5 7L9 0V10']],
  ['N', [7.5, 'M0 10V0L7.5 10V0']],
  ['O', [8.4, ROUND_O]],
  ['P', [7, LETTER_P]],
  ['Q', [8.6, `${ROUND_O}M5.4 7.4L8.6 10.6`]],
  ['R', [7, `${LETTER_P}M3.5 5.6L7 10`]],
  ['S', [6.8, LETTER_S]],
  ['T', [7, 'M0 0H7M3.5 0V10']],
  ['U', [7.2, 'M0 0V6.5Q0 10 3.6 10Q7.2 10 7.2 6.5V0']],
  ['V', [8, 'M0 0L4 10L8 0']],
  ['W', [11, 'M0 0L2.7 10L5.5 1L8.3 10L11 0']],
  ['X', [7, 'M0 0L7 10M7 0L0 10']],
  ['Y', [7.4, 'M0 0L3.7 5L7.4 0M3.7 5V10']],
  ['Z', [7, 'M0 0H7L0 10H7']],
  ['[', [2, 'M2 -1H0V12H2']],
  ['\\', [4.4, 'M0 -.5L4.4 11']],
  [']', [2, 'M0 -1H2V12H0']],
  ['^', [4.8, 'M0 3.5L2.4 0L4.8 3.5']],
  ['_', [6, 'M0 11.5H6']],
  ['`', [1.4, 'M0 0L1.4 1.8']],
  ['a', [5.6, `M5.6 3.6V10${BOWL_LEFT}`]],
  ['b', [5.6, `M0 0V10${BOWL_RIGHT}`]],
  ['c', [5, 'M5 4.6A2.8 3.3 0 1 0 5 8.8']],
  ['d', [5.6, `M5.6 0V10${BOWL_LEFT}`]],
  ['e', [5.6, 'M0 6.5H5.6A2.8 3.2 0 1 0 4.9 8.8']],
  ['f', [3.6, 'M4 .2Q1.6 -.4 1.6 2V10M0 3.6H3.6']],
  ['g', [5.6, `M5.6 3.6V10.6Q5.6 13 2.9 13Q1 13 .3 12${BOWL_LEFT}`]],
  ['h', [5, 'M0 0V10M0 6Q.4 3.4 2.8 3.4Q5 3.4 5 6V10']],
  ['i', [0, 'M0 3.6V10M0 1V1.01']],
  ['j', [1.2, 'M1.2 3.6V11Q1.2 13 -.6 13M1.2 1V1.01']],
  ['k', [5, 'M0 0V10M4.8 3.6L0 7.6M1.9 6.1L5 10']],
  ['l', [1.2, 'M0 0V8.6Q0 10 1.2 10']],
  ['m', [8.4, 'M0 3.6V10M0 6Q.4 3.4 2.3 3.4Q4.2 3.4 4.2 6V10M4.2 6Q4.6 3.4 6.5 3.4Q8.4 3.4 8.4 6V10']],
  ['n', [5, 'M0 3.6V10M0 6Q.4 3.4 2.8 3.4Q5 3.4 5 6V10']],
  ['o', [5.8, 'M0 6.7A2.9 3.3 0 1 1 5.8 6.7A2.9 3.3 0 1 1 0 6.7']],
  ['p', [5.6, `M0 3.6V13${BOWL_RIGHT}`]],
  ['q', [5.6, `M5.6 3.6V13${BOWL_LEFT}`]],
  ['r', [3.2, 'M0 3.6V10M0 6.2Q.4 3.4 3.2 3.5']],
  ['s', [4.8, 'M4.5 4.5Q3.9 3.4 2.4 3.4Q.3 3.4 .3 5Q.3 6.3 2.4 6.6Q4.8 7 4.8 8.3Q4.8 10 2.4 10Q.6 10 0 8.8']],
  ['t', [3.8, 'M1.6 1.2V8Q1.6 10 3.8 9.8M0 3.6H3.6']],
  ['u', [5, 'M0 3.6V7.4Q0 10 2.4 10Q4.6 10 5 7.4M5 3.6V10']],
  ['v', [5.6, 'M0 3.6L2.8 10L5.6 3.6']],
  ['w', [8.4, 'M0 3.6L2 10L4.2 4.2L6.4 10L8.4 3.6']],
  ['x', [5, 'M0 3.6L5 10M5 3.6L0 10']],
  ['y', [5.6, 'M0 3.6L2.8 10M5.6 3.6L2.2 11.5Q1.5 13 0 13']],
  ['z', [5, 'M0 3.6H5L0 10H5']],
  ['{', [2.6, 'M2.6 -1Q1.2 -1 1.2 1V4Q1.2 5.5 0 5.5Q1.2 5.5 1.2 7V10Q1.2 12 2.6 12']],
  ['|', [0, 'M0 -1V12']],
  ['}', [2.6, 'M0 -1Q1.4 -1 1.4 1V4Q1.4 5.5 2.6 5.5Q1.4 5.5 1.4 7V10Q1.4 12 0 12']],
  ['~', [6.4, 'M0 6.8Q1.5 4.6 3.2 6Q4.9 7.4 6.4 5.4']],
  ['\u00b2', [3.3, 'M.1 1.3Q.2 0 1.7 0Q3.2 0 3.2 1.4Q3.2 2.3 2.2 3.3L0 5.2H3.3']],
  ['\u00b5', MICRO],
  ['\u03bc', MICRO],
  ['\u00d7', [4.4, 'M0 4L4.4 8.4M4.4 4L0 8.4']],
]);
