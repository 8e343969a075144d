/**
 * Every view of a text that detectors read: normalised, folded, and what encoded parts of it say, level
 * by level. Nothing is skipped silently: a text that is still encoded after the last level, or that
 * would decode to too much, says so in `exceeded`.
 */
import type { Limits } from '../../config/schema.ts';
import { decodeBase64 } from './base64.ts';
import { deleet } from './deleet.ts';
import { decodeEntities } from './entities.ts';
import { decodeEscapes } from './escapes.ts';
import { fold } from './fold.ts';
import { decodeHex } from './hex.ts';
import { decodeHiddenView } from './hidden.ts';
import { removeInvisible } from './invisible.ts';
import { nfkc } from './nfkc.ts';
import { decodePercent } from './percent.ts';
import { type Survey, survey } from './survey.ts';
import { originalView, type View } from './view.ts';
import { wellFormed } from './wellFormed.ts';

export type ViewLimits = Pick<Limits, 'decodeDepthMax' | 'viewUnitsPerInputUnitMax'>;

export interface Views {
  /** The first is the normalised text; the others exist only where they differ. */
  readonly views: readonly View[];
  /** `depth`: still encoded after the last level. `expansion`: a view was left out or cut short by the unit budget. */
  readonly exceeded: readonly ('depth' | 'expansion')[];
}

/** Short texts may grow by this much whatever the factor says. */
const UNITS_FLOOR = 4096;

type Decoder = (view: View) => View | null;

/** Percent and escapes come before base64, which they often wrap; hex before base64, since hex is base64 too. */
const DECODERS: readonly (readonly [keyof Survey, Decoder])[] = [
  ['escapes', decodeEscapes],
  ['percent', decodePercent],
  ['entities', decodeEntities],
  ['hex', decodeHex],
  ['base64', decodeBase64],
];

/** Honest text grows little under NFKC; only a few ligatures make more than three letters. */
const NFKC_GROWTH_MAX = 4;

/** Units that views may still take, and what was crossed. */
class Budget {
  #unitsLeft: number;
  expansion = false;

  constructor(units: number) {
    this.#unitsLeft = units;
  }

  get unitsLeft(): number {
    return this.#unitsLeft;
  }

  /** Books `view`; false, and remembered, where it does not fit. */
  take(view: View): boolean {
    if (view.text.length > this.#unitsLeft) {
      this.expansion = true;
      return false;
    }
    this.#unitsLeft -= view.text.length;
    return true;
  }
}

/** A view with what is known of it, and the well-formed text it was made of. */
interface Normal {
  readonly raw: View;
  readonly view: View;
  readonly survey: Survey;
}

/** Well-formed, nothing invisible, NFKC, plain blanks. The text itself where nothing changes. */
function normalise(raw: View, budget: Budget): Normal {
  const known = survey(raw.text);
  if (known.plain) return { raw, view: { ...raw, name: 'normal' }, survey: known };
  const formed = wellFormed(raw) ?? raw;
  const visible = removeInvisible(formed) ?? formed;
  const unitsMax = Math.min(budget.unitsLeft, visible.text.length * NFKC_GROWTH_MAX + UNITS_FLOOR);
  const result = nfkc(visible, Math.max(unitsMax, visible.text.length));
  if (result.exceeded) budget.expansion = true;
  const view = { ...(result.view ?? visible), name: 'normal' };
  return { raw: formed, view, survey: survey(view.text) };
}

/** One round of every decoder; null where none finds anything. */
function decodeOnce(normal: Normal, budget: Budget): View | null {
  // Hidden text is gone from the normal view, so it is read from the raw one; plain text hides none.
  const hidden = normal.raw.text === normal.view.text ? null : decodeHiddenView(normal.raw);
  const from = hidden === null ? normal : normalise(hidden, budget);
  let { view, survey: known } = from;
  for (const [name, decode] of DECODERS) {
    if (!known[name]) continue;
    const decoded = decode(view);
    if (decoded === null) continue;
    view = decoded;
    known = survey(view.text);
  }
  return view === normal.view ? null : view;
}

/** Adds the folded and the de-leeted form of `normal` where they differ. */
function addFolded(views: View[], normal: Normal, budget: Budget): void {
  const folded = normal.survey.plain && !normal.survey.spelled ? null : fold(normal.view);
  if (folded !== null && budget.take(folded)) views.push(folded);
  const deleeted = normal.survey.leet || folded !== null ? deleet(folded ?? normal.view) : null;
  if (deleeted !== null && budget.take(deleeted)) views.push(deleeted);
}

export function buildViews(text: string, limits: ViewLimits): Views {
  const budget = new Budget(text.length * limits.viewUnitsPerInputUnitMax + UNITS_FLOOR);
  let normal = normalise(originalView(text), budget);
  const views: View[] = [normal.view];
  addFolded(views, normal, budget);
  for (let level = 1; ; level++) {
    const decoded = decodeOnce(normal, budget);
    if (decoded === null) break;
    if (level > limits.decodeDepthMax) {
      return { views, exceeded: budget.expansion ? ['depth', 'expansion'] : ['depth'] };
    }
    normal = normalise(decoded, budget);
    if (!budget.take(normal.view)) break;
    views.push(normal.view);
    addFolded(views, normal, budget);
  }
  return { views, exceeded: budget.expansion ? ['expansion'] : [] };
}
