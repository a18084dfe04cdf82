/**
 * What must hold between the meters of a site, each as a relation that says how far the readings are from believable: what
 * comes in less what goes out is a small loss; power is volts times amperes; a counter is the integral of its power; the
 * charge follows the battery's energy; two meters of one thing agree; the sun makes nothing at night.
 */
import { balanceRelation } from './balance-relation.js';
import { boundRelations } from './bound-relations.js';
import type { BalanceDay } from './channels.js';
import { chargeRelations } from './charge-relation.js';
import { counterRelations } from './counter-relations.js';
import { meteredDay } from './metered-day.js';
import type { Relation } from './relation.js';
import { twinRelations } from './twin-relations.js';

/** All relations a site's channels allow, and what it lacks for those it does not. */
export function relationsOf(day: BalanceDay): {
  readonly relations: readonly Relation[];
  readonly lacks: readonly string[];
} {
  const site = meteredDay(day);
  const { relations, lacks } = balanceRelation(site);
  return {
    relations: [
      ...relations,
      ...twinRelations(site),
      ...counterRelations(site),
      ...chargeRelations(site),
      ...boundRelations(site),
    ],
    lacks,
  };
}
