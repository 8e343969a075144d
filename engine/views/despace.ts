/** Letters written one by one (`i g n o r e`, `i-g-n-o-r-e`) joined to words. */
import { isAsciiAlnum, isAsciiLetter } from './chars.ts';
import { SINGLES_MIN } from './survey.ts';
import { type View, ViewBuilder } from './view.ts';

/** A wider gap ends the sequence; within it, the shortest gap joins and any other parts words. */
const GAP_UNITS_MAX = 4;

interface Single {
  readonly start: number;
  readonly end: number;
}

/** Letters of other scripts count; ideographs do not, they stand alone anyway. */
function isWordUnit(unit: number): boolean {
  if (unit < 0x80) return isAsciiAlnum(unit);
  if (unit >= 0x2000 && unit < 0x2c00) return false;
  return unit >= 0xc0 && unit < 0x3000 && unit !== 0xd7 && unit !== 0xf7;
}

function emit(view: View, builder: ViewBuilder, singles: readonly Single[]): void {
  const { text } = view;
  let joint: string | null = null;
  for (let i = 1; i < singles.length; i++) {
    const gap = text.slice((singles[i - 1] as Single).end, (singles[i] as Single).start);
    if (joint === null || gap.length < joint.length) joint = gap;
  }
  for (let i = 0; i < singles.length; i++) {
    const single = singles[i] as Single;
    const previous = singles[i - 1];
    if (previous !== undefined && text.slice(previous.end, single.start) !== joint) {
      builder.push(' ', previous.end, single.start);
    }
    builder.copy(single.start, single.end);
  }
}

/** True where the sequence is worth joining: letters, not a row of numbers. */
function isSpelled(text: string, singles: readonly Single[]): boolean {
  if (singles.length < SINGLES_MIN) return false;
  let letters = 0;
  for (const { start } of singles) {
    const unit = text.charCodeAt(start);
    if (unit > 0x7f || isAsciiLetter(unit)) letters++;
  }
  return letters >= SINGLES_MIN;
}

/** The view with spelled-out words joined; null where there are none. */
export function despace(view: View): View | null {
  const { text } = view;
  let builder: ViewBuilder | null = null;
  let kept = 0;
  let singles: Single[] = [];
  const flush = (): void => {
    if (isSpelled(text, singles)) {
      builder ??= new ViewBuilder(view);
      builder.copy(kept, (singles[0] as Single).start);
      emit(view, builder, singles);
      kept = (singles.at(-1) as Single).end;
    }
    if (singles.length > 0) singles = [];
  };
  for (let i = 0; i < text.length; ) {
    if (!isWordUnit(text.charCodeAt(i))) {
      i++;
      continue;
    }
    const start = i;
    while (i < text.length && isWordUnit(text.charCodeAt(i))) i++;
    const last = singles.at(-1);
    if (i - start > 1) flush();
    else {
      if (last !== undefined && start - last.end > GAP_UNITS_MAX) flush();
      singles.push({ start, end: i });
    }
  }
  flush();
  if (builder === null) return null;
  const made: ViewBuilder = builder;
  made.copy(kept, text.length);
  return made.build('despaced', view.decodedFrom);
}
