// SPDX-License-Identifier: MIT
//! The arms of the benchmark `crossover` do the same work.

// The benchmark itself, of which not all is used here.
#[allow(dead_code, reason = "the benchmark's own")]
#[path = "../benches/peers/crossover/mod.rs"]
mod crossover;

use std::sync::{Mutex, MutexGuard, PoisonError};

use cascow_benches::memory::Counting;
use cascow_benches::plot::{Panel, Series, draw};
use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use crossover::keyed::{Cloned, Rules};
use crossover::path::{Path, Step};
use crossover::{
    ARMS, Arm, Make, PLOT, board_arms, boards, keyed_arms, keyed_steps, made_again, measure, play,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Tests run at once, and the allocator counts for all of them.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    // One test here is to panic.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What each arm finds, and the states that it has in the end, to which it goes in another order.
fn found(arms: &[Make<'_>], steps: &[Step]) -> Vec<(u64, Vec<u64>)> {
    let one = |make: &Make<'_>| {
        let mut arm = make();
        let sum = play(&mut *arm, steps);
        (sum, (0..=steps.len()).rev().map(|node| arm.digest(node)).collect())
    };
    arms.iter().map(one).collect()
}

fn assert_equal(found: &[(u64, Vec<u64>)], arms: usize) {
    assert_eq!(found.len(), arms);
    for (arm, (sum, states)) in found.iter().enumerate() {
        assert_eq!(*sum, found[0].0, "arm {arm}");
        let differs = states.iter().zip(&found[0].1).position(|(a, b)| a != b);
        assert_eq!(differs, None, "arm {arm}");
    }
}

#[test]
fn all_arms_find_the_same_in_states_of_keys() {
    let _alone = alone();
    for (keys, changed) in [(16, 1), (16, 8), (16, 16), (256, 1), (4096, 40), (4096, 2048)] {
        let rules = Rules { keys, changed };
        let steps = keyed_steps(500);
        assert_equal(&found(&keyed_arms(rules, steps.len()), &steps), 6);
    }
}

#[test]
fn all_arms_find_the_same_in_board_games() {
    let _alone = alone();
    let steps = boards::steps::<Connect4>(5_000);
    assert_equal(&found(&board_arms::<Connect4>(), &steps), 5);
    let steps = boards::steps::<Othello>(5_000);
    assert_equal(&found(&board_arms::<Othello>(), &steps), 5);
}

/// Goes to the wrong state once, and never again.
struct Mistaken(Cloned, usize);

impl Arm for Mistaken {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        self.1 += 1;
        let parent = if self.1 == 100 { (parent + 1) % 99 } else { parent };
        self.0.playout(Step { parent, seed })
    }

    fn digest(&mut self, node: usize) -> u64 {
        self.0.digest(node)
    }
}

#[test]
#[should_panic(expected = "all arms find the same")]
fn an_arm_that_goes_to_a_wrong_state_once_is_not_measured() {
    let _alone = alone();
    let rules = Rules { keys: 4096, changed: 4 };
    let arms: Vec<Make<'_>> = vec![
        Box::new(move || Box::new(Cloned::new(rules))),
        Box::new(move || Box::new(Mistaken(Cloned::new(rules), 0))),
    ];
    measure(&arms, &keyed_steps(200));
}

#[test]
fn a_copy_of_a_state_counts_with_its_bytes() {
    let _alone = alone();
    let rules = Rules { keys: 4096, changed: 4 };
    let arms: [Make<'_>; 1] = [Box::new(move || Box::new(Cloned::new(rules)))];
    // So many that what the harness of the tests allocates meanwhile is little of each.
    let figures = measure(&arms, &keyed_steps(1000));
    let beside = figures[0].bytes - 4096.0 * 64.0;
    assert!((0.0..100.0).contains(&beside), "{beside}");
    assert_eq!(figures[0].rates.len(), 3);
}

#[test]
fn the_plot_names_all_arms_and_panels() {
    let _alone = alone();
    let series = |number: u32| Series {
        name: ARMS[number as usize],
        points: vec![(1024.0, 10.0 * f64::from(number + 1)), (16_777_216.0, 1e6)],
    };
    let panel = |title: &str| Panel { title: title.into(), series: (0..6).map(series).collect() };
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("plots");
    draw(&dir, &PLOT, &["first", "second", "third", "fourth"].map(panel)).unwrap();
    let text = std::fs::read_to_string(dir.join("crossover.svg")).unwrap();
    for name in ARMS.iter().chain(&["first", "second", "third", "fourth", "100 kB"]) {
        assert!(text.contains(name), "{name}");
    }
    assert!(text.ends_with("</svg>\n"));
}

#[test]
fn moves_made_again_are_those_on_the_way() {
    // 0 → 1 → 2, then 1 → 3, 2 → 4, 0 → 5.
    let steps = [0, 1, 1, 2, 0].map(|parent| Step { parent, seed: 0 });
    // From the root: 0, 1, 1, 2, 0. From the node before: 0 from 0, 1 from 1, 1 from 2, 2 from 3, 0 from 4.
    assert_eq!(made_again(&steps), [4.0 / 5.0, 1.0 / 5.0]);
}

#[test]
fn the_way_goes_back_to_the_last_common_node_and_on_from_there() {
    let _alone = alone();
    let mut path = Path::new();
    // 0 → 1 → 2 → 3, 1 → 4 → 5.
    for (parent, seed) in [(0, 10), (1, 20), (2, 30), (1, 40), (4, 50)] {
        path.push(Step { parent, seed });
    }
    let mut go_to = |node| {
        let (back, on) = path.go_to(node);
        (back, on.collect::<Vec<u64>>())
    };
    assert_eq!(go_to(3), (0, vec![10, 20, 30]));
    assert_eq!(go_to(5), (2, vec![40, 50]));
    assert_eq!(go_to(1), (2, vec![]));
    assert_eq!(go_to(1), (0, vec![]));
    assert_eq!(go_to(0), (1, vec![]));
    path.push_and_stand(Step { parent: 0, seed: 60 });
    let (back, on) = path.go_to(2);
    assert_eq!((back, on.collect::<Vec<u64>>()), (1, vec![10, 20]));
    assert_eq!(path.way_to(5).collect::<Vec<u64>>(), [10, 40, 50]);
}
