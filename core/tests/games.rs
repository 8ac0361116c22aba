// SPDX-License-Identifier: MIT
//! The board games against published counts, against their plain rules, and against exact chances.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use std::collections::BTreeSet;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, IllegalMove, MovesError, Outcome, Side, after, perft};
use cascow_core::hash::HashKind;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

mod plain;
use plain::{Plain, PlainConnect4, PlainOthello, below};

fn generator(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// The board's move of the name that the plain rules give it.
fn named<B: Board>(name: &str) -> B::Move {
    let (action, rest) = B::read_move(name).unwrap();
    assert_eq!(rest, "");
    action
}

#[test]
fn connect4_has_as_many_paths_as_published() {
    let paths: Vec<u64> = (1..=8).map(|depth| perft::paths(&Connect4::START, depth)).collect();
    assert_eq!(paths, [7, 49, 343, 2401, 16_807, 117_649, 823_536, 5_673_234]);
}

/// OEIS A212693.
#[test]
fn connect4_has_as_many_positions_as_published() {
    let count = |depth| perft::states(&Connect4::START, depth, HashKind::Blake3);
    let states: Vec<u64> = (0..=8).map(count).collect();
    assert_eq!(states, [1, 7, 49, 238, 1120, 4263, 16_422, 54_859, 184_275]);
}

#[test]
fn othello_has_as_many_paths_as_published() {
    let paths: Vec<u64> = (1..=8).map(|depth| perft::paths(&Othello::START, depth)).collect();
    assert_eq!(paths, [4, 12, 56, 244, 1396, 8200, 55_092, 390_216]);
}

/// Paths and positions by the plain rules, ply by ply.
fn plain_counts<P: Plain>(plies: usize) -> (Vec<u64>, Vec<u64>) {
    let mut paths = vec![1];
    let mut states = vec![1];
    let mut ply = std::collections::BTreeMap::from([(P::start(), 1)]);
    for _ in 0..plies {
        let mut following = std::collections::BTreeMap::new();
        for (game, ways) in &ply {
            for action in game.moves() {
                let mut next = game.clone();
                next.play(&action);
                *following.entry(next).or_insert(0) += ways;
            }
        }
        ply = following;
        paths.push(ply.values().sum());
        states.push(u64::try_from(ply.len()).unwrap());
    }
    (paths, states)
}

fn counts<B: Board>(plies: u32, hash: HashKind) -> (Vec<u64>, Vec<u64>) {
    let paths = (0..=plies).map(|depth| perft::paths(&B::START, depth)).collect();
    let states = (0..=plies).map(|depth| perft::states(&B::START, depth, hash)).collect();
    (paths, states)
}

#[test]
fn counts_agree_with_the_plain_rules_whatever_the_hash() {
    for hash in [HashKind::Sha256, HashKind::Blake3] {
        assert_eq!(counts::<Connect4>(5, hash), plain_counts::<PlainConnect4>(5));
        assert_eq!(counts::<Othello>(5, hash), plain_counts::<PlainOthello>(5));
    }
}

/// A full board that nobody has won, of random games.
fn drawn_connect4() -> Connect4 {
    let mut generator = generator(8);
    loop {
        let mut board = Connect4::START;
        while board.outcome().is_none() {
            let moves: Vec<_> = board.moves().collect();
            board = board.play(moves[below(&mut generator, moves.len())]).unwrap();
        }
        if board.outcome() == Some(Outcome::Draw) {
            return board;
        }
    }
}

#[test]
fn counts_beyond_the_end_of_every_game_are_zero_and_soon_known() {
    let full = drawn_connect4();
    assert_eq!(perft::paths(&full, u32::MAX), 0);
    assert_eq!(perft::states(&full, u32::MAX, HashKind::Blake3), 0);
    assert_eq!(perft::paths(&full, 0), 1);
}

/// Equal in all that the rules say, whoever asks.
fn assert_agree<B: Board, P: Plain>(board: &B, plain: &P) {
    assert_eq!(board.to_string(), plain.picture());
    assert_eq!(board.turn(), plain.turn(), "{board}");
    assert_eq!(board.outcome(), plain.outcome(), "{board}");
    let moves: Vec<String> = board.moves().map(|action| action.to_string()).collect();
    let expected: BTreeSet<String> = plain.moves().into_iter().collect();
    assert_eq!(moves.iter().cloned().collect::<BTreeSet<_>>(), expected, "{board}");
    assert_eq!(moves.len(), expected.len(), "{board}");
    assert_eq!(board.count_moves(), u32::try_from(moves.len()).unwrap(), "{board}");
    for number in (0..100).chain([u32::MAX]) {
        let Some(action) = B::numbered(number) else { continue };
        assert_eq!(B::number(action), number);
        let legal = expected.contains(&action.to_string());
        assert_eq!(board.play(action).is_ok(), legal, "{action} at\n{board}");
    }
    let mut words = vec![0; B::WORDS];
    board.pack(&mut words);
    assert_eq!(B::unpack(&words), *board);
}

fn agree_in_random_games<B: Board, P: Plain>(games: u64) -> [u32; 3] {
    let mut ends = [0; 3];
    for seed in 0..games {
        let mut generator = generator(seed);
        let (mut board, mut plain) = (B::START, P::start());
        assert_agree(&board, &plain);
        while plain.outcome().is_none() {
            let moves = plain.moves();
            let action = &moves[below(&mut generator, moves.len())];
            plain.play(action);
            board = board.play(named::<B>(action)).unwrap();
            assert_agree(&board, &plain);
        }
        ends[match plain.outcome().unwrap() {
            Outcome::Win(Side::First) => 0,
            Outcome::Win(Side::Second) => 1,
            Outcome::Draw => 2,
        }] += 1;
    }
    ends
}

#[test]
fn random_games_of_connect4_follow_the_plain_rules() {
    let ends = agree_in_random_games::<Connect4, PlainConnect4>(600);
    assert!(ends.iter().all(|&games| games > 0), "not every end was met: {ends:?}");
}

#[test]
fn random_games_of_othello_follow_the_plain_rules() {
    let ends = agree_in_random_games::<Othello, PlainOthello>(150);
    assert!(ends.iter().all(|&games| games > 0), "not every end was met: {ends:?}");
}

#[test]
fn packed_positions_differ_as_positions_do() {
    fn check<B: Board>(seed: u64) {
        let mut generator = generator(seed);
        let mut seen: Vec<(B, Vec<u32>)> = Vec::new();
        for _ in 0..40 {
            let mut board = B::START;
            loop {
                let mut words = vec![0; B::WORDS];
                board.pack(&mut words);
                seen.push((board, words));
                let moves: Vec<_> = board.moves().collect();
                if moves.is_empty() {
                    break;
                }
                board = board.play(moves[below(&mut generator, moves.len())]).unwrap();
            }
        }
        for (at, (board, words)) in seen.iter().enumerate() {
            for (other, other_words) in &seen[..at] {
                assert_eq!(board == other, words == other_words);
            }
        }
    }
    check::<Connect4>(1);
    check::<Othello>(1);
}

/// The words of a search that was saved come from a disk.
#[test]
fn words_of_noise_unpack_to_a_position_that_can_be_played_to_its_end() {
    fn check<B: Board>(seed: u64) {
        let mut generator = generator(seed);
        let noise = |generator: &mut Xoshiro256PlusPlus| {
            let bytes = generator.next_u64().to_le_bytes();
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        for round in 0..2000 {
            let mut words: Vec<u32> = (0..B::WORDS)
                .map(|_| match round {
                    0 => 0,
                    1 => u32::MAX,
                    _ => noise(&mut generator) & noise(&mut generator),
                })
                .collect();
            let board = B::unpack(&words);
            board.pack(&mut words);
            assert_eq!(B::unpack(&words), board);
            board.playout(&mut generator);
            assert_eq!(board.outcome().is_some(), board.moves().next().is_none(), "{board}");
            for action in board.moves() {
                board.play(action).unwrap();
            }
        }
    }
    check::<Connect4>(2);
    check::<Othello>(2);
}

/// How often playouts ended with a win for the first player, for the second, with a draw.
fn frequencies(playouts: u32, mut playout: impl FnMut() -> Outcome) -> [f64; 3] {
    let mut ends = [0_u32; 3];
    for _ in 0..playouts {
        ends[match playout() {
            Outcome::Win(Side::First) => 0,
            Outcome::Win(Side::Second) => 1,
            Outcome::Draw => 2,
        }] += 1;
    }
    ends.map(|count| f64::from(count) / f64::from(playouts))
}

/// Endgames with `empty` places left, reached by random games: where the exact chances are soon known.
fn endgames<B: Board, P: Plain>(count: usize, plies: u32, seed: u64) -> Vec<(B, P)> {
    let mut generator = generator(seed);
    let mut endgames = Vec::new();
    while endgames.len() < count {
        let (mut board, mut plain) = (B::START, P::start());
        for _ in 0..plies {
            let moves = plain.moves();
            if moves.is_empty() {
                break;
            }
            let action = &moves[below(&mut generator, moves.len())];
            plain.play(action);
            board = board.play(named::<B>(action)).unwrap();
        }
        if plain.outcome().is_none() {
            endgames.push((board, plain));
        }
    }
    endgames
}

fn playouts_agree_with_exact_chances<B: Board, P: Plain>(endgames: Vec<(B, P)>) {
    const PLAYOUTS: u32 = 40_000;
    let mut generator = generator(3);
    for (board, plain) in endgames {
        let chances = plain.chances();
        let found = frequencies(PLAYOUTS, || board.playout(&mut generator));
        for (chance, found) in chances.into_iter().zip(found) {
            let sigma = (chance * (1.0 - chance) / f64::from(PLAYOUTS)).sqrt();
            // Sums of fractions are exact to far less than one playout.
            let bound = 5.0 * sigma + 1e-9;
            assert!((found - chance).abs() <= bound, "{found} for {chance} at\n{board}");
        }
    }
}

#[test]
fn playouts_of_connect4_end_as_often_as_all_endings_counted() {
    playouts_agree_with_exact_chances(endgames::<Connect4, PlainConnect4>(12, 34, 4));
}

#[test]
fn playouts_of_othello_end_as_often_as_all_endings_counted() {
    playouts_agree_with_exact_chances(endgames::<Othello, PlainOthello>(12, 54, 4));
}

/// From where a random game went on for `plies` more, two or more of them passes that did not end it.
fn endgames_with_passes(count: usize, plies: usize) -> Vec<(Othello, PlainOthello)> {
    let mut endgames = Vec::new();
    for seed in 0.. {
        let mut generator = generator(seed);
        let mut plain = PlainOthello::start();
        let mut written = Vec::new();
        let mut past = vec![plain.clone()];
        while plain.outcome().is_none() {
            let moves = plain.moves();
            written.push(moves[below(&mut generator, moves.len())].clone());
            plain.play(&written[written.len() - 1]);
            past.push(plain.clone());
        }
        let from = written.len() - plies;
        if written[from..].iter().filter(|action| *action == "pass").count() >= 2 {
            let board = after(Othello::START, &written[..from].concat()).unwrap();
            endgames.push((board, past[from].clone()));
        }
        if endgames.len() == count {
            break;
        }
    }
    endgames
}

#[test]
fn playouts_of_othello_go_on_after_each_of_several_passes() {
    let endgames = endgames_with_passes(12, 9);
    assert_eq!(endgames.len(), 12);
    playouts_agree_with_exact_chances(endgames);
}

fn playouts_agree_with_plain_ones<B: Board, P: Plain>(plain_playouts: u32) {
    const PLAYOUTS: u32 = 100_000;
    let mut generator = generator(5);
    let found = frequencies(PLAYOUTS, || B::START.playout(&mut generator));
    let plain = frequencies(plain_playouts, || P::start().playout(&mut generator));
    for (found, plain) in found.into_iter().zip(plain) {
        let variance = found * (1.0 - found);
        let sigma = (variance / f64::from(PLAYOUTS) + variance / f64::from(plain_playouts)).sqrt();
        assert!((found - plain).abs() <= 5.0 * sigma, "{found} beside {plain}");
    }
}

#[test]
fn playouts_of_connect4_from_the_start_end_as_plain_ones_do() {
    playouts_agree_with_plain_ones::<Connect4, PlainConnect4>(4000);
}

#[test]
fn playouts_of_othello_from_the_start_end_as_plain_ones_do() {
    playouts_agree_with_plain_ones::<Othello, PlainOthello>(400);
}

#[test]
fn a_playout_of_a_game_that_is_over_is_its_result_and_draws_nothing() {
    let won = after(Connect4::START, "1212121").unwrap();
    let mut generator = generator(6);
    let before = generator.clone();
    assert_eq!(won.playout(&mut generator), Outcome::Win(Side::First));
    assert_eq!(generator, before);
}

#[test]
fn connect4_moves_come_from_the_middle_outwards() {
    let moves: Vec<String> = Connect4::START.moves().map(|column| column.to_string()).collect();
    assert_eq!(moves.concat(), "4352617");
    assert_eq!(moves.iter().map(|m| Connect4::number(named::<Connect4>(m))).max(), Some(6));
}

#[test]
fn moves_may_be_written_with_spaces_and_commas_and_capitals() {
    let board = after(Connect4::START, "4453").unwrap();
    for text in [" 4 4 5 3 ", "4,4,5,3", "44\n53", "44, 53,"] {
        assert_eq!(after(Connect4::START, text), Ok(board), "{text:?}");
    }
    assert_eq!(after(Connect4::START, ""), Ok(Connect4::START));
    assert_eq!(after(Othello::START, "F5, D6"), after(Othello::START, "f5d6"));
}

#[test]
fn moves_that_cannot_be_read_are_named_with_their_place() {
    let refused = |text: &str| after(Connect4::START, text).unwrap_err().to_string();
    assert_eq!(refused("4458"), "move 4: expected a column from 1 to 7, found \"8\"");
    assert_eq!(refused("0"), "move 1: expected a column from 1 to 7, found \"0\"");
    assert_eq!(refused("44x5"), "move 3: expected a column from 1 to 7, found \"x5\"");
    assert_eq!(
        refused("4\u{1b}[2J"),
        "move 2: expected a column from 1 to 7, found \"\\u{1b}[2J\""
    );
    assert_eq!(refused("٣"), "move 1: expected a column from 1 to 7, found \"٣\"");
    let long = refused(&"x".repeat(1000));
    assert_eq!(long, "move 1: expected a column from 1 to 7, found \"xxxxxxxx\"");

    let refused = |text: &str| after(Othello::START, text).unwrap_err().to_string();
    let expected = "expected a square from a1 to h8, or pass";
    assert_eq!(refused("f5d"), format!("move 2: {expected}, found \"d\""));
    assert_eq!(refused("f5i3"), format!("move 2: {expected}, found \"i3\""));
    assert_eq!(refused("f9"), format!("move 1: {expected}, found \"f9\""));
    assert_eq!(refused("f0"), format!("move 1: {expected}, found \"f0\""));
    assert_eq!(refused("é5"), format!("move 1: {expected}, found \"é5\""));
    assert_eq!(refused("pas"), format!("move 1: {expected}, found \"pas\""));
}

#[test]
fn moves_against_the_rules_are_named_with_the_rule() {
    fn refused<B: Board>(text: &str) -> (usize, String, IllegalMove) {
        match after(B::START, text) {
            Err(MovesError::Illegal { number, found, reason }) => (number, found, reason),
            other => panic!("{text}: {other:?}"),
        }
    }
    let full = (7, "4".to_owned(), IllegalMove::ColumnFull);
    assert_eq!(refused::<Connect4>("4444444"), full);
    let over = (8, "7".to_owned(), IllegalMove::Over);
    assert_eq!(refused::<Connect4>("12121217"), over);
    assert_eq!(refused::<Othello>("d4"), (1, "d4".to_owned(), IllegalMove::SquareTaken));
    assert_eq!(refused::<Othello>("f5a1"), (2, "a1".to_owned(), IllegalMove::TurnsNothing));
    assert_eq!(refused::<Othello>("f5pass"), (2, "pass".to_owned(), IllegalMove::MayNotPass));
    let error = after(Connect4::START, "4444444").unwrap_err();
    assert_eq!(error.to_string(), "move 7, 4: the column is full");
}

/// A whole game with passes, found by random play, written with its passes and without.
#[test]
fn a_forced_pass_may_be_written_or_left_out() {
    let mut passes = 0;
    for seed in 0..30 {
        let mut generator = generator(seed);
        let mut plain = PlainOthello::start();
        let mut written = Vec::new();
        while plain.outcome().is_none() {
            let moves = plain.moves();
            let action = moves[below(&mut generator, moves.len())].clone();
            plain.play(&action);
            written.push(action);
        }
        let without: Vec<&str> =
            written.iter().map(String::as_str).filter(|action| *action != "pass").collect();
        passes += written.len() - without.len();
        let board = after(Othello::START, &written.concat()).unwrap();
        assert_eq!(after(Othello::START, &without.concat()), Ok(board));
        assert_eq!(after(Othello::START, &written.join(" ").replace("pass", "--")), Ok(board));
        assert_eq!(board.outcome(), plain.outcome());
        let again = after(Othello::START, &format!("{} pass", written.concat()));
        assert!(matches!(again, Err(MovesError::Illegal { reason: IllegalMove::Over, .. })));
    }
    assert!(passes > 0, "no game had a pass");
}

/// The shortest game: white is left without a disc.
#[test]
fn othello_ends_when_neither_side_can_move_though_squares_are_free() {
    let board = after(Othello::START, "e6f4e3f6g5d6e7f5c5").unwrap();
    assert_eq!(board.discs(), (13, 0));
    assert_eq!(board.outcome(), Some(Outcome::Win(Side::First)));
    assert_eq!(board.moves().count(), 0);
    let mut generator = generator(7);
    let before = generator.clone();
    assert_eq!(board.playout(&mut generator), Outcome::Win(Side::First));
    assert_eq!(generator, before);
}
