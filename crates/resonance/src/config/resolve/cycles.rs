//! Models may feed models, but never themselves.

use resonance_gateway::plan::{DeploymentPlan, Trigger};

use super::{Diagnostic, Mistake, Resolver};

impl Resolver<'_, '_> {
    /// Refuses deployments whose results come back to them as inputs or triggers: each result
    /// would cause the next, without end.
    pub(super) fn refuse_cycles(&mut self, deployments: &[Option<DeploymentPlan>]) {
        let feeds: Vec<Vec<usize>> = deployments.iter().map(|d| self.fed_by(d.as_ref())).collect();
        // 0: not seen, 1: on the path, 2: done.
        let mut state = vec![0_u8; feeds.len()];
        for start in 0..feeds.len() {
            self.walk(start, &feeds, &mut state);
        }
    }

    fn fed_by(&self, deployment: Option<&DeploymentPlan>) -> Vec<usize> {
        let Some(deployment) = deployment else { return Vec::new() };
        let event = match deployment.trigger {
            Trigger::Event(point) => Some(point),
            Trigger::Change { .. } | Trigger::Every(_) => None,
        };
        let inputs = deployment.bindings.iter().map(|binding| binding.point);
        inputs.chain(event).filter_map(|point| self.outputs.get(&point).copied()).collect()
    }

    /// Depth first, with a stack of its own: files may chain as many deployments as they like.
    fn walk(&mut self, start: usize, feeds: &[Vec<usize>], state: &mut [u8]) {
        let mut path = vec![(start, 0)];
        if state[start] != 0 {
            return;
        }
        state[start] = 1;
        while let Some((at, next)) = path.last_mut() {
            let (at, edge) = (*at, *next);
            *next += 1;
            let Some(&fed_by) = feeds[at].get(edge) else {
                state[at] = 2;
                path.pop();
                continue;
            };
            match state[fed_by] {
                0 => {
                    state[fed_by] = 1;
                    path.push((fed_by, 0));
                }
                1 => {
                    let from = path.iter().position(|(on_path, _)| *on_path == fed_by);
                    let round: Vec<&str> = path[from.unwrap_or(0)..]
                        .iter()
                        .map(|(at, _)| self.file.deployments[*at].id.as_str())
                        .collect();
                    let place = self.place("deployment", fed_by, "id");
                    let message = format!(
                        "the results of {:?} come back to it: {}",
                        self.file.deployments[fed_by].id,
                        round.join(" is fed by ")
                    );
                    let cycle = Diagnostic::error(Mistake::Contradiction, &place, message);
                    self.out.push(cycle.remedy("bind one of the inputs to a point of a source"));
                }
                _ => {}
            }
        }
    }
}
