/**
 * Characters of other scripts that are read as an ASCII letter or digit, and the bars and brackets
 * that are read as `|`, `<` and `>`.
 *
 * Source: Unicode TR39 confusables, cut to pairs a reader takes for the same letter (its "intentional"
 * subset) plus the letters that attack tools use. Letters that NFKC maps to ASCII by itself
 * (mathematical, fullwidth, circled, squared, superscript) are left to NFKC. A skeleton is for
 * comparing, never for rewriting.
 */

/** Per ASCII letter or digit, the characters that stand in for it: Cyrillic, Greek, Armenian, Cherokee,
 * Coptic, Lisu, Canadian syllabics, Tifinagh, Georgian, small capitals, turned and barred Latin letters. */
const LOOKALIKES: Readonly<Record<string, string>> = {
  a: 'аӓɑαᴀⲁꬰᶏɐәⱥ',
  A: 'АΑᎪꓮⲀȺᗅ𐊠𖽀',
  b: 'ЬьвƄƅʙɓᏏᑲᖯƀƃѣβ',
  B: 'ВΒᏴᗷꓐꞴⲂɃ𐊂𐌁',
  c: 'сϲᴄⲥꮯƈȼҫɔ',
  C: 'СϹᏟꓚⲤƇȻҪ𐌂𐊢',
  d: 'ԁᏧᑯɗđɖᴅժ',
  D: 'ᎠᗞᗪꓓĐƊÐ',
  e: 'еєҽɛεᴇⲉꬲɇəǝ℮ҿэ',
  E: 'ЕΕᎬꓰⴹⲈЄƐɆҾ𐊆',
  f: 'ẝꞙƒꬵғꜰքɟ',
  F: 'ҒϜᖴꓝꞘƑ𐊇',
  g: 'ɡᶃցɢԍǥɠ',
  G: 'ԌᏀᏳꓖǤƓ',
  h: 'һհнᏂʜħԧⱨɦћђɥ',
  H: 'НΗᎻᕼꓧⲎҢӇĦⱧ𐋏',
  i: 'іıɩιɪꙇꭵⲓᎥᵻɨᴉ',
  I: 'ІΙⵏꓲⲒƗᛁ𐌉',
  j: 'јϳյɉᴊʝɾ',
  J: 'ЈᎫᒍꓙͿɈ',
  k: 'кκᴋƙқҝҟⲕĸⱪʞ',
  K: 'КΚᏦꓗⲔҚҜҞƘⱩᛕ',
  l: 'ӏӀʟłƚɫꮮⳑɭ',
  L: 'ᏞᒪꓡⳐŁȽ',
  m: 'мᴍɱⲙᵯɯ',
  M: 'МΜᎷᗰꓟⲘϺӍ𐊰𐌑',
  n: 'ոռпηᴎɴƞŋɲղᥒ',
  N: 'ΝꓠⲚƝŊИ',
  o: 'оοօσөøᴏⲟꬽოဝഠ',
  O: 'ОΟՕꓳⲞⵔƟӨØ𐊒',
  p: 'рρϱᴘⲣƥҏ',
  P: 'РΡᏢᑭꓑⲢƤҎⱣ𐊕',
  q: 'ԛգզɋꞯ',
  Q: 'ԚⵕɊ',
  r: 'гᴦⲅꭇꮁʀɼґɍɹ',
  R: 'ᎡᏒᖇꓣƦɌⱤЯ',
  s: 'ѕꜱʂꮪƽ',
  S: 'ЅՏᏕᏚꓢ𐊖',
  t: 'тτᴛƭŧҭⲧϯʇ',
  T: 'ТΤᎢꓔⲦҬŦƬȾ𐊗',
  u: 'υսᴜʋʊꭎꭒᥙμʉ',
  U: 'ՍᑌꓴɄ',
  v: 'νѵᴠⱱꮩʌ',
  V: 'ѴᏙᐯꓦⴸ',
  w: 'ѡԝաᴡⲱшꮃωʍ',
  W: 'ԜᎳᏔꓪШ',
  x: 'хχ᙮ⲭᕽҳ',
  X: 'ХΧᚷⵝꓫⲬҲ𐊐',
  y: 'уүγʏყᶌꭚɣƴʎ',
  Y: 'ҮΥᎩꓬⲨУƳɎ𐊲',
  z: 'ᴢꮓƶʐȥⱬʑ',
  Z: 'ΖᏃꓜⲌƵȤⱫ',
  0: 'θ〇⓿🄋🄌',
  2: 'ƧϨ',
  3: 'ЗзƷȜɜҘҙꓱⳌ',
  4: 'Ꮞ',
  5: 'Ƽ',
  6: 'бᏮⳒ',
  8: 'Ȣȣ',
  9: 'Ⳋ',
};

/** Alphabets in A to Z order that have no NFKC form of one letter: first code point and first letter. */
const ALPHABETS: readonly (readonly [number, string])[] = [
  [0x249c, 'a'], // parenthesised small letters
  [0x1f110, 'A'], // parenthesised capitals
  [0x1f150, 'A'], // negative circled
  [0x1f170, 'A'], // negative squared
  [0x1f1e6, 'A'], // regional indicators
];

/** Digits one to nine without an NFKC form: negative circled, sans-serif circled, negative sans-serif, double circled. */
const ONES: readonly number[] = [0x2776, 0x2780, 0x278a, 0x24f5];

/** Zeros of the decimal digits (general category Nd, ten in a row each) that NFKC leaves alone, Unicode 17. */
const ZEROS: readonly number[] = [
  0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0, 0xf20,
  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0,
  0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
  0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0,
  0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950,
];

/** Blocks whose precomposed letters take the letter of their base: Latin, Greek, Cyrillic and their extensions. */
const PRECOMPOSED: readonly (readonly [number, number])[] = [
  [0xc0, 0x24f],
  [0x370, 0x52f],
  [0x1e00, 0x1fff],
];

function build(): Map<number, string> {
  const map = new Map<number, string>();
  const codeOf = (char: string): number => char.codePointAt(0) as number;
  for (const [letter, alike] of Object.entries(LOOKALIKES)) {
    for (const char of alike) map.set(codeOf(char), letter);
  }
  for (const [first, letter] of ALPHABETS) {
    for (let i = 0; i < 26; i++) map.set(first + i, String.fromCharCode(letter.charCodeAt(0) + i));
  }
  for (const one of ONES) {
    for (let i = 0; i < 9; i++) map.set(one + i, String(i + 1));
  }
  for (const zero of ZEROS) {
    for (let i = 0; i < 10; i++) map.set(zero + i, String(i));
  }
  for (const [first, last] of PRECOMPOSED) {
    for (let code = first; code <= last; code++) {
      if (map.has(code)) continue;
      const base = String.fromCodePoint(code).normalize('NFD').charCodeAt(0);
      if (base === code) continue;
      const letter = base < 0x80 ? String.fromCharCode(base) : map.get(base);
      if (letter !== undefined && /^[A-Za-z]$/.test(letter)) map.set(code, letter);
    }
  }
  return map;
}

/** Code point to the ASCII letter or digit it is read as; case is kept. ASCII itself is not in it. */
export const CONFUSABLES: ReadonlyMap<number, string> = build();

const BRACKET_LOOKALIKES: Readonly<Record<string, readonly number[]>> = {
  // U+2016 (double bar) reads as one bar in a token name.
  '|': [
    0xa6, 0x1c0, 0x2016, 0x2223, 0x2225, 0x23b8, 0x23b9, 0x23d0, 0x2502, 0x2503, 0x2551, 0x2758, 0x2759, 0x275a, 0x2d4f,
    0x2f01, 0x4e28, 0xff5c, 0xffe8,
  ],
  '<': [0x1438, 0x2329, 0x276c, 0x276e, 0x2770, 0x27e8, 0x29fc, 0x3008, 0xfe64, 0xff1c],
  '>': [0x1433, 0x232a, 0x276d, 0x276f, 0x2771, 0x27e9, 0x29fd, 0x3009, 0xfe65, 0xff1e],
  '[': [0x2772, 0x27e6, 0x3010, 0x3014, 0x301a, 0xfe47, 0xff3b],
  ']': [0x2773, 0x27e7, 0x3011, 0x3015, 0x301b, 0xfe48, 0xff3d],
};

/**
 * Bars and brackets read as `|`, `<`, `>`, `[` and `]`. U+2039, U+203A and U+2E22 to U+2E25 must stay out:
 * the escaped form of a control token is written with them and must not match again.
 */
export const BRACKETS: ReadonlyMap<number, string> = new Map(
  Object.entries(BRACKET_LOOKALIKES).flatMap(([ascii, codes]) => codes.map((code) => [code, ascii] as const)),
);
