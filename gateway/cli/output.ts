/** The one place of the command line that writes to the terminal. Results go to stdout, everything else to stderr. */

/** A line of result. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** A line of error or usage. */
export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Rows with aligned columns, the first row as heading. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  for (const row of rows)
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}
