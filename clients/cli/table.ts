export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Text in columns, two blanks apart, each line ended by a newline. An empty table is its titles. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], indent = ''): string {
  const widths = columns.map(({ title }, index) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[index] ?? ''))));
  const line = (cells: readonly string[]): string => {
    const padded = columns.map(({ align }, index) => {
      const cell = cells[index] ?? '';
      const blanks = ' '.repeat((widths[index] ?? 0) - widthOf(cell));
      return align === 'right' ? blanks + cell : cell + blanks;
    });
    return `${indent}${padded.join('  ')}`.trimEnd();
  };
  return [columns.map(({ title }) => title), ...rows].map((cells) => `${line(cells)}\n`).join('');
}

/** Text that others wrote, safe for a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** In code points: enough for names and units. */
function widthOf(text: string): number {
  return Array.from(text).length;
}
