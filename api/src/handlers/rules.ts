/** Rules of a grid, and trying them on the past. */
import {
  backtestNeeds,
  describeRule,
  metricDefinition,
  parseMetricId,
  ruleLimits,
  type RuleList,
} from '@villagrid/contracts';
import { askedTest } from '../rule-tests/run.js';
import type { Handler } from './handler.js';

export const rules: Handler<'rules'> = ({ grid }): RuleList => ({
  grid_id: grid.gridId,
  rules: grid.rules().map((rule) => {
    const metric = 'metric' in rule.selector ? rule.selector.metric : null;
    return {
      rule_id: rule.id,
      kind: rule.kind,
      enabled: rule.enabled,
      severity: rule.severity,
      message: rule.message,
      why: rule.why,
      description: describeRule(rule),
      metric,
      unit: metric === null ? null : (metricDefinition(parseMetricId(metric).base)?.unit ?? null),
      limits: ruleLimits(rule),
      testable: backtestNeeds([rule], grid.site(), () => []).unkept.length === 0,
    };
  }),
});

export const ruleTest: Handler<'ruleTest'> = ({ services, grid, body }) =>
  services.ruleTests.begin(grid, askedTest(grid, body, Math.floor(services.clock.nowMs())));

export const ruleTestState: Handler<'ruleTestState'> = ({ services, grid, params }) =>
  services.ruleTests.get(grid.gridId, params.test_id);

export const cancelRuleTest: Handler<'cancelRuleTest'> = ({ services, grid, params }) =>
  services.ruleTests.cancel(grid.gridId, params.test_id);
