import type { Points } from './outline.ts';

interface Visits {
  first: number;
  last: number;
}

/**
 * The hull's corners (as `convexHull` gives them), begun at the one where OpenCV begins: of equally small rectangles around them
 * the order decides which is taken. OpenCV begins at the rightmost, then lowest corner, unless the places of the corners in the
 * `outline` can be made to fall or to rise all the way by beginning elsewhere.
 */
export function orderCorners(hull: Points, outline: Points): Points {
  const count = hull.x.length;
  if (count < 3) {
    return hull;
  }
  const begun = beginAt(
    hull,
    extreme(hull, (x, y, otherX, otherY) => x > otherX || (x === otherX && y > otherY)),
  );
  return beginAt(begun, findStart(placesOf(begun, outline)));
}

function beginAt({ x, y }: Points, start: number): Points {
  const turned = (values: Int32Array): Int32Array => values.map((_, index) => values[(start + index) % values.length] ?? 0);
  return start === 0 ? { x, y } : { x: turned(x), y: turned(y) };
}

/** The corner that comes before all others. */
function extreme({ x, y }: Points, isBefore: (x: number, y: number, otherX: number, otherY: number) => boolean): number {
  let found = 0;
  for (let index = 1; index < x.length; index++) {
    if (isBefore(x[index] ?? 0, y[index] ?? 0, x[found] ?? 0, y[found] ?? 0)) {
      found = index;
    }
  }
  return found;
}

/**
 * Where in the outline each corner is, the first one being the rightmost. The outline passes some pixels twice: there the scan of
 * J. Sklansky, 1982, from left to right, takes the last pass, save at its ends, and the one from right to left the first.
 */
function placesOf(corners: Points, outline: Points): number[] {
  const visits = new Map<number, Visits>(
    Array.from(corners.x, (x, index) => [keyOf(x, corners.y[index] ?? 0), { first: -1, last: -1 }]),
  );
  for (let place = 0; place < outline.x.length; place++) {
    const visit = visits.get(keyOf(outline.x[place] ?? 0, outline.y[place] ?? 0));
    if (visit !== undefined) {
      visit.first = visit.first < 0 ? place : visit.first;
      visit.last = place;
    }
  }
  const bottom = extreme(corners, (x, y, otherX, otherY) => y > otherY || (y === otherY && x < otherX));
  const left = extreme(corners, (x, y, otherX, otherY) => x < otherX || (x === otherX && y < otherY));
  // Where the rightmost corner is the topmost too, the left side goes all the way round to it.
  const top = extreme(corners, (x, y, otherX, otherY) => y < otherY || (y === otherY && x < otherX)) || corners.x.length;
  return Array.from(corners.x, (x, index) => {
    const visit = visits.get(keyOf(x, corners.y[index] ?? 0));
    const isOnLeft = index > bottom && index < top && index !== left;
    return (index === 0 || isOnLeft ? visit?.last : visit?.first) ?? 0;
  });
}

/** No image has as many columns. */
const COLUMNS = 2 ** 26;

function keyOf(x: number, y: number): number {
  return y * COLUMNS + x;
}

/** The corner from which the places fall, or rise, all the way; the first one where there is none. */
function findStart(places: readonly number[]): number {
  const at = (index: number): number => places[index % places.length] ?? 0;
  const rises = places.map((place, index) => place < at(index + 1));
  const count = rises.filter((isRise) => isRise).length;
  if (count === 1) {
    return (rises.indexOf(true) + 1) % places.length;
  }
  return count === places.length - 1 ? (rises.indexOf(false) + 1) % places.length : 0;
}
