// SPDX-License-Identifier: MIT
//! `play`: a person against the search. Moves are read from standard input, a line each, from a terminal or a pipe.

use std::io::{self, BufRead, IsTerminal, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, Playouts, Side};
use cascow_core::search::{Action, Search};
use cascow_native::Error;
use cascow_native::boards::{self, Limits};
use indicatif::HumanCount;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::analyze::{Opinion, in_words, limits, mark, start};
use super::args::{GameName, Play, Seat};
use super::output::Output;
use super::{Answer, interrupt_flag};

pub(super) fn play(args: &Play, output: &Output) -> Result<Answer, Error> {
    if output.json {
        return Err(Error::Misuse(
            "play talks with a person; for JSON, use `analyze` with the moves so far".to_owned(),
        ));
    }
    match args.game {
        GameName::Connect4 => Table::<Connect4>::new(args, output)?.play(),
        GameName::Othello => Table::<Othello>::new(args, output)?.play(),
    }
}

/// What comes from the person.
enum Input {
    Line(String),
    /// Nothing more will come.
    End,
}

/// What the person wants.
enum Wish<M> {
    Move(M),
    Undo,
    Hint,
    Help,
    Quit,
}

/// A game on the table.
struct Table<'a, B: Board> {
    output: &'a Output,
    limits: Limits,
    person: Side,
    seed: u64,
    byte_limit: u64,
    interrupt: Arc<AtomicBool>,
    input: Receiver<Input>,
    board: B,
    /// Each position where the person moved, to go back to.
    past: Vec<B>,
    /// What was thought so far of what the game may come to.
    search: Option<Search<B>>,
}

impl<'a, B: Board + Send + Sync> Table<'a, B> {
    fn new(args: &Play, output: &'a Output) -> Result<Self, Error> {
        Ok(Self {
            output,
            limits: limits(&args.thinking),
            person: match args.seat {
                Seat::First => Side::First,
                Seat::Second => Side::Second,
            },
            seed: args.thinking.seed,
            byte_limit: args.thinking.bytes,
            interrupt: interrupt_flag()?,
            board: start(args.moves.as_deref())?,
            input: listen()?,
            past: Vec::new(),
            search: None,
        })
    }

    fn play(mut self) -> Result<Answer, Error> {
        let (you, search) = (mark(self.person), mark(self.person.other()));
        self.say(&format!("You are {you}, the search is {search}. A move is {}; ", B::MOVE_FORM))?;
        self.say("u takes back, h is a hint, q ends.\n")?;
        loop {
            self.say(&format!("\n{}\n\n", self.board))?;
            if let Some(outcome) = self.board.outcome() {
                self.say(&format!("The game is over: {}.\n", in_words(outcome)))?;
                return Ok(Answer::Yes);
            }
            let mover = mark(self.board.turn());
            if let Some(forced) = self.board.unwritten() {
                self.say(&format!("{mover} has no move but {forced}.\n"))?;
                self.advance(forced)?;
            } else if self.board.turn() == self.person {
                if !self.persons_turn()? {
                    return Ok(Answer::Yes);
                }
            } else if !self.searchs_turn()? {
                return self.leave();
            }
        }
    }

    /// `false` if the person has had enough.
    fn persons_turn(&mut self) -> Result<bool, Error> {
        loop {
            self.say(&format!("{} to move: ", mark(self.person)))?;
            let line = match self.input.recv() {
                Ok(Input::Line(line)) => line,
                Ok(Input::End) | Err(_) => return self.leave().map(|_| false),
            };
            if !io::stdin().is_terminal() {
                // So that a record reads like a game.
                self.say(&format!("{}\n", line.trim().escape_debug()))?;
            }
            match wish::<B>(&line) {
                Ok(Wish::Move(action)) => match self.board.play(action) {
                    Ok(_) => {
                        self.past.push(self.board);
                        self.advance(action)?;
                        return Ok(true);
                    }
                    Err(reason) => self.say(&format!("{action} cannot be played: {reason}.\n"))?,
                },
                Ok(Wish::Undo) => match self.past.pop() {
                    Some(board) => {
                        self.board = board;
                        self.search = None;
                        return Ok(true);
                    }
                    None => self.say("There is nothing to take back.\n")?,
                },
                Ok(Wish::Hint) => {
                    if !self.hint()? {
                        return self.leave().map(|_| false);
                    }
                }
                Ok(Wish::Help) => self.say(&format!(
                    "A move is {}; u takes back, h is a hint, q ends.\n",
                    B::MOVE_FORM
                ))?,
                Ok(Wish::Quit) => return self.leave().map(|_| false),
                Err(complaint) => self.say(&format!("{complaint}.\n"))?,
            }
        }
    }

    fn hint(&mut self) -> Result<bool, Error> {
        let Some((opinion, playouts)) = self.think()? else { return Ok(false) };
        let (best, line) = (&opinion.best_move, beginning(&opinion.line));
        self.say(&format!(
            "Hint: {best}, {} for you after {playouts} playouts; it may go on {line}.\n",
            opinion.in_words()
        ))?;
        Ok(true)
    }

    /// `false` if it was interrupted.
    fn searchs_turn(&mut self) -> Result<bool, Error> {
        let Some((opinion, playouts)) = self.think()? else { return Ok(false) };
        // The search's moves are the board's own.
        let Some((action, _)) = B::read_move(&opinion.best_move) else { return Ok(false) };
        let mover = mark(self.board.turn());
        let expected = match opinion.line.get(1..) {
            None | Some([]) => String::new(),
            Some(line) => format!("; it expects {}", beginning(line)),
        };
        self.say(&format!(
            "{mover} plays {action}: {} for {mover} after {playouts} playouts{expected}.\n",
            opinion.in_words()
        ))?;
        self.advance(action)?;
        Ok(true)
    }

    /// What the search thinks of the position, and after how many playouts. `None` if it was interrupted.
    fn think(&mut self) -> Result<Option<(Opinion, HumanCount)>, Error> {
        let mut search = match self.search.take() {
            Some(search) => search,
            None => boards::begin(self.board, self.seed, self.byte_limit)?,
        };
        let bar = self.output.figure_bar("thinking");
        bar.enable_steady_tick(std::time::Duration::from_millis(100));
        let thought = boards::think(&mut search, &self.limits, &self.interrupt);
        bar.finish_and_clear();
        let thought = thought?;
        let opinion = Opinion::of(&search);
        self.search = Some(search);
        let interrupted = thought.stopped == boards::Stopped::Interrupted;
        Ok((!interrupted).then_some((opinion, HumanCount(thought.evaluations))))
    }

    /// Goes on to the position after a legal move, with what is known of it.
    fn advance(&mut self, action: B::Move) -> Result<(), Error> {
        self.board = self.board.play(action).map_err(|reason| Error::Misuse(reason.to_string()))?;
        if let Some(search) = &mut self.search {
            let advanced = search.advance_root(Action(B::number(action)), &mut Playouts::new());
            if !matches!(advanced, Ok(Some(_))) {
                self.search = None;
            }
        }
        Ok(())
    }

    fn leave(&self) -> Result<Answer, Error> {
        self.say("\nThe game ends here.\n")?;
        Ok(Answer::Yes)
    }

    fn say(&self, text: &str) -> Result<(), Error> {
        self.output.bytes(text.as_bytes())
    }
}

/// As much of what the search expects as a person follows.
fn beginning(line: &[String]) -> String {
    const MOVES: usize = 6;
    line[..line.len().min(MOVES)].join(" ")
}

/// What a line asks for, or what is wrong with it.
fn wish<B: Board>(line: &str) -> Result<Wish<B::Move>, String> {
    let line = line.trim();
    match line.to_ascii_lowercase().as_str() {
        "u" | "undo" => return Ok(Wish::Undo),
        "h" | "hint" => return Ok(Wish::Hint),
        "q" | "quit" => return Ok(Wish::Quit),
        "" | "?" | "help" => return Ok(Wish::Help),
        _ => {}
    }
    match B::read_move(line) {
        Some((action, "")) => Ok(Wish::Move(action)),
        _ => {
            let found: String = line.chars().take(12).collect();
            Err(format!("Expected {}, u, h or q; found \"{}\"", B::MOVE_FORM, found.escape_debug()))
        }
    }
}

/// Lines of standard input, until it ends or Ctrl-C is pressed: a signal would not wake who waits for a line alone.
fn listen() -> Result<Receiver<Input>, Error> {
    /// No move is longer than this; what is longer is read in pieces that are no moves.
    const LONGEST_LINE: u64 = 4096;

    let (sender, receiver) = mpsc::channel();
    let (mut waking, woken) = UnixStream::pair().map_err(Error::io("open", "a socket"))?;
    for signal in [SIGINT, SIGTERM] {
        let woken = woken.try_clone().map_err(Error::io("open", "a socket"))?;
        signal_hook::low_level::pipe::register(signal, woken)
            .map_err(Error::io("watch for", "signals"))?;
    }
    let on_signal = sender.clone();
    // Both threads wait for as long as the program runs, and end with it.
    thread::spawn(move || {
        let mut byte = [0];
        if waking.read_exact(&mut byte).is_ok() {
            let _ = on_signal.send(Input::End);
        }
    });
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            let message = match read {
                Ok(0) | Err(_) => Input::End,
                Ok(_) => Input::Line(String::from_utf8_lossy(&line).into_owned()),
            };
            let ends = matches!(message, Input::End);
            if sender.send(message).is_err() || ends {
                break;
            }
        }
    });
    Ok(receiver)
}
