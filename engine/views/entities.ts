/** HTML character references as the characters they stand for. */
import { charOf, isAsciiAlnum, readHex } from './chars.ts';
import { type View, ViewBuilder } from './view.ts';

/** Names that spell words, blanks, quotes or brackets; the other 2,000 of HTML hide nothing a rule reads. */
const NAMED: ReadonlyMap<string, string> = new Map(
  Object.entries({
    amp: '&',
    AMP: '&',
    lt: '<',
    LT: '<',
    gt: '>',
    GT: '>',
    quot: '"',
    QUOT: '"',
    apos: "'",
    nbsp: '\u00a0',
    ensp: '\u2002',
    emsp: '\u2003',
    thinsp: '\u2009',
    Tab: '\t',
    NewLine: '\n',
    shy: '\u00ad',
    zwj: '\u200d',
    zwnj: '\u200c',
    ZeroWidthSpace: '\u200b',
    lpar: '(',
    rpar: ')',
    lsqb: '[',
    lbrack: '[',
    rsqb: ']',
    rbrack: ']',
    lcub: '{',
    lbrace: '{',
    rcub: '}',
    rbrace: '}',
    verbar: '|',
    vert: '|',
    VerticalLine: '|',
    bsol: '\\',
    sol: '/',
    colon: ':',
    semi: ';',
    comma: ',',
    period: '.',
    excl: '!',
    quest: '?',
    num: '#',
    dollar: '$',
    percnt: '%',
    ast: '*',
    midast: '*',
    plus: '+',
    equals: '=',
    lowbar: '_',
    UnderBar: '_',
    grave: '`',
    Hat: '^',
    commat: '@',
    hyphen: '-',
    dash: '-',
    ndash: '\u2013',
    mdash: '\u2014',
    lsquo: '\u2018',
    rsquo: '\u2019',
    ldquo: '\u201c',
    rdquo: '\u201d',
    hellip: '\u2026',
    bull: '\u2022',
    middot: '\u00b7',
    lang: '\u27e8',
    rang: '\u27e9',
  }),
);

const NAME_UNITS_MAX = 16;
/** Leading zeros are allowed in numbers; HTML sets no bound, this does. */
const DIGITS_MAX = 16;

interface Reference {
  readonly text: string;
  readonly end: number;
}

function readDecimal(text: string, at: number): { value: number; end: number } {
  let value = 0;
  let end = at;
  while (end - at < DIGITS_MAX && end < text.length) {
    const unit = text.charCodeAt(end);
    if (unit < 0x30 || unit > 0x39) break;
    value = value * 10 + unit - 0x30;
    end++;
  }
  return { value, end };
}

/** The reference whose `&` stands at `at`, or null. Browsers accept numbers without the semicolon, so this does. */
function readReference(text: string, at: number): Reference | null {
  if (text[at + 1] === '#') {
    const isHex = text[at + 2] === 'x' || text[at + 2] === 'X';
    const from = at + (isHex ? 3 : 2);
    const { value, end } = isHex ? readHex(text, from, DIGITS_MAX) : readDecimal(text, from);
    const char = end > from ? charOf(value) : '';
    if (char === '') return null;
    return { text: char, end: text[end] === ';' ? end + 1 : end };
  }
  let end = at + 1;
  while (end - at <= NAME_UNITS_MAX && isAsciiAlnum(text.charCodeAt(end))) end++;
  if (text[end] !== ';') return null;
  const char = NAMED.get(text.slice(at + 1, end));
  return char === undefined ? null : { text: char, end: end + 1 };
}

/** Null where the view holds no character reference. */
export function decodeEntities(view: View): View | null {
  const { text } = view;
  let builder: ViewBuilder | null = null;
  let kept = 0;
  for (let at = text.indexOf('&'); at >= 0; ) {
    const reference = readReference(text, at);
    if (reference !== null) {
      builder ??= new ViewBuilder(view);
      builder.copy(kept, at);
      builder.push(reference.text, at, reference.end);
      kept = reference.end;
    }
    at = text.indexOf('&', reference?.end ?? at + 1);
  }
  if (builder === null) return null;
  builder.copy(kept, text.length);
  return builder.build('entities', [...view.decodedFrom, 'entities']);
}
