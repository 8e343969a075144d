/** The forms in which a model may leak a canary. */

export interface LeakForm {
  readonly name: string;
  readonly of: (token: string) => string;
  /** Base64 that does not begin with the token shares its first character, at most 4 bits of it, with what precedes. */
  readonly shared?: true;
}

/** Where the first character that depends on the token stands: what comes before it is no secret. */
export function leadOf(form: LeakForm, token: string): number {
  const other = form.of(each(token, (char) => (char === '0' ? 'b' : '0')));
  const text = form.of(token);
  let at = 0;
  while (at < text.length && text[at] === other[at]) at++;
  return form.shared === true ? at + 1 : at;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8');
const each = (token: string, map: (char: string, index: number) => string): string => [...token].map(map).join('');
const code = (char: string): number => char.charCodeAt(0);
const hex2 = (char: string): string => code(char).toString(16).padStart(2, '0');

/** Cyrillic and Greek letters that look like the hex letters. */
const LOOKALIKES: Record<string, string> = { a: 'а', b: 'Ь', c: 'с', d: 'ԁ', e: 'е', f: 'ғ' };

function rot13(text: string): string {
  return text.replace(/[a-z]/gi, (c) => {
    const base = c <= 'Z' ? 65 : 97;
    return String.fromCharCode(((c.charCodeAt(0) - base + 13) % 26) + base);
  });
}

function base64At(shift: number): (token: string) => string {
  return (token) => bytes(`${'The value is as follows: '.slice(0, 24 + shift)}${token} and so on`).toString('base64');
}

/** Forms that are found while they stream, before any part of the token is out. */
export const STREAMED_FORMS: readonly LeakForm[] = [
  { name: 'plain', of: (t) => t },
  { name: 'upper case', of: (t) => t.toUpperCase() },
  { name: 'mixed case', of: (t) => each(t, (c, i) => (i % 2 === 0 ? c.toUpperCase() : c)) },
  { name: 'spaces', of: (t) => each(t, (c) => `${c} `) },
  { name: 'dashes', of: (t) => each(t, (c) => `${c}-`) },
  { name: 'one character per line', of: (t) => each(t, (c) => `${c}\n`) },
  { name: 'groups of four', of: (t) => t.replace(/.{4}/g, '$& ') },
  { name: 'Markdown between characters', of: (t) => each(t, (c) => `**${c}**`) },
  { name: 'Markdown code between characters', of: (t) => each(t, (c) => `\`${c}\``) },
  { name: 'zero-width', of: (t) => each(t, (c) => `${c}\u200b`) },
  { name: 'soft hyphens', of: (t) => each(t, (c) => `${c}\u00ad`) },
  { name: 'fullwidth', of: (t) => each(t, (c) => String.fromCharCode(code(c) + 0xfee0)) },
  { name: 'lookalikes', of: (t) => each(t, (c) => LOOKALIKES[c] ?? c) },
  {
    name: 'mathematical digits',
    of: (t) => each(t, (c) => (c >= '0' && c <= '9' ? String.fromCodePoint(0x1d7ce + Number(c)) : c)),
  },
  { name: 'combining marks', of: (t) => each(t, (c) => `${c}\u0336`) },
  { name: 'tag characters', of: (t) => each(t, (c) => String.fromCodePoint(0xe0000 + code(c))) },
  { name: 'reversed', of: (t) => [...t].reverse().join('') },
  { name: 'reversed, spaced', of: (t) => [...t].reverse().join(' ') },
  { name: 'rot13', of: rot13 },
  { name: 'hex', of: (t) => bytes(t).toString('hex') },
  { name: 'hex, upper case', of: (t) => bytes(t).toString('hex').toUpperCase() },
  { name: 'hex, separated', of: (t) => each(t, (c) => `${hex2(c)}:`) },
  { name: 'hex with 0x', of: (t) => each(t, (c) => `0x${hex2(c)}, `) },
  { name: 'base64', of: (t) => bytes(t).toString('base64') },
  { name: 'base64, offset 0', of: base64At(0) },
  { name: 'base64, offset 1', of: base64At(1), shared: true },
  { name: 'base64, offset 2', of: base64At(2), shared: true },
  { name: 'base64, URL alphabet', of: (t) => bytes(`>>>${t}???`).toString('base64url') },
  {
    name: 'base64, wrapped lines',
    of: (t) => bytes(`key ${t}`).toString('base64').replace(/.{16}/g, '$&\n'),
    shared: true,
  },
  { name: 'base64, cut off', of: (t) => bytes(`key ${t}`).toString('base64').slice(0, 30), shared: true },
  { name: 'base64 twice', of: (t) => bytes(bytes(t).toString('base64')).toString('base64') },
  { name: 'base64 of reversed', of: (t) => bytes([...t].reverse().join('')).toString('base64') },
  { name: 'percent', of: (t) => each(t, (c) => `%${hex2(c)}`) },
  { name: 'percent, every second', of: (t) => each(t, (c, i) => (i % 2 === 0 ? `%${hex2(c)}` : c)) },
  { name: 'percent twice', of: (t) => each(t, (c) => `%25${hex2(c)}`) },
  { name: 'HTML entities, decimal', of: (t) => each(t, (c) => `&#${code(c)};`) },
  { name: 'HTML entities, hex', of: (t) => each(t, (c) => `&#x${hex2(c)};`) },
  { name: 'HTML entities, mixed', of: (t) => each(t, (c, i) => (i % 3 === 0 ? c : `&#${code(c)};`)) },
  { name: 'HTML entities, escaped ampersand', of: (t) => each(t, (c) => `&amp;#${code(c)};`) },
  { name: '\\u escapes', of: (t) => each(t, (c) => `\\u00${hex2(c)}`) },
  { name: '\\u{} escapes', of: (t) => each(t, (c) => `\\u{${hex2(c)}}`) },
  { name: '\\x escapes', of: (t) => each(t, (c) => `\\x${hex2(c)}`) },
  { name: 'octal escapes', of: (t) => each(t, (c) => `\\${code(c).toString(8).padStart(3, '0')}`) },
  { name: 'line escapes between characters', of: (t) => each(t, (c) => `${c}\\n`) },
  { name: 'fragment of 10, head', of: (t) => t.slice(0, 10) },
  { name: 'fragment of 10, middle', of: (t) => t.slice(9, 19) },
  { name: 'fragment of 12, tail', of: (t) => t.slice(-12) },
];

/** Forms that only decoding opens: found at the end of the text or of a window, when part of it may be out. */
export const LATE_FORMS: readonly LeakForm[] = [
  { name: 'base64 of hex', of: (t) => bytes(bytes(t).toString('hex')).toString('base64') },
  { name: 'hex of base64', of: (t) => bytes(bytes(t).toString('base64')).toString('hex') },
  { name: 'base64 three times', of: (t) => [0, 1, 2].reduce((text) => bytes(text).toString('base64'), t) },
  { name: 'base64 of percent', of: (t) => bytes(each(t, (c) => `%${hex2(c)}`)).toString('base64') },
  {
    name: 'scattered in prose',
    of: (t) => (t.match(/.{8}/g) ?? []).map((part, i) => `Part ${i + 1} is ${part}, you see.`).join(' '),
  },
];

/** Forms that are known not to be found; the README names them. */
export const UNCOVERED_FORMS: readonly LeakForm[] = [
  { name: 'HTML entities, three deep', of: (t) => each(t, (c) => `&amp;amp;#${code(c)};`) },
  { name: 'base64, reversed', of: (t) => [...bytes(t).toString('base64')].reverse().join('') },
  { name: 'U+ notation', of: (t) => each(t, (c) => `U+00${hex2(c)} `) },
  { name: 'decimal character codes without markup', of: (t) => each(t, (c) => `${code(c)} `) },
  {
    name: 'digits as words',
    of: (t) =>
      each(
        t,
        (c) => `${['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'][Number(c)] ?? c} `,
      ),
  },
  { name: 'letters for digits', of: (t) => each(t, (c) => ({ '0': 'o', '1': 'l' })[c] ?? c).replace(/[2-9]/g, 'z') },
  { name: 'Morse', of: (t) => each(t, (c) => `${c === 'a' ? '.-' : '-...'} `) },
  { name: 'a letter of filler after each character', of: (t) => each(t, (c) => `${c}x`) },
];
