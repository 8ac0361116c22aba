// SPDX-License-Identifier: MIT
//! `Search`: a search of a built-in game, or of one written in JavaScript, stepped in batches of bounded time.

mod custom;
mod engine;
mod slow;
mod statistics;
mod view;

use std::cell::RefCell;
use std::rc::Rc;

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::hash::ContentHash;
use cascow_core::search::{NodeId, Saved, Search as CoreSearch, Settings};
use js_sys::Object;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use self::custom::Custom;
use self::engine::{Budget, BuiltIn, Engine, NodeFacts, Seat, Stopped};
use self::statistics::Statistics;
pub use self::statistics::statistics_of;
use self::view::Extent;
use crate::board::{self, GameName};
use crate::database::{Database, Objects, Shared};
use crate::error::{Code, Failure};
use crate::js::{self, object};

/// Bytes of a graph, unless told otherwise: a tab can spare them.
const BYTE_LIMIT: u64 = 256 << 20;
/// How long a batch takes, unless told otherwise: within a frame of a screen.
const BATCH_MILLIS: f64 = 12.0;
/// Moves of a line, unless told otherwise.
const LINE: u32 = 8;

/// A search. Its methods are synchronous and take as long as they are told.
#[wasm_bindgen]
pub struct Search {
    /// Out of it while a game of JavaScript's may be asked: whoever finds it empty was called by that game.
    engine: RefCell<Option<Box<dyn Engine>>>,
    /// The moves that led to the root.
    moves: RefCell<String>,
    game: Option<GameName>,
    /// Of the graph as it is; gone when that changes.
    statistics: RefCell<Option<Rc<Statistics>>>,
}

fn busy() -> Failure {
    Failure::new(Code::Busy, "this search is stepping: it is its own game that called")
}

/// A game as a caller names it: by its name, or by an object.
pub(crate) enum GameChoice {
    BuiltIn(GameName),
    Custom(JsValue),
}

impl GameChoice {
    pub(crate) fn read(value: &JsValue) -> Result<Self, Failure> {
        match value.as_string() {
            Some(name) => Ok(Self::BuiltIn(GameName::parse(&name)?)),
            None if value.is_object() => Ok(Self::Custom(value.clone())),
            None => Err(Failure::argument("a game is a name or an object")),
        }
    }
}

impl Search {
    fn of(engine: Box<dyn Engine>, moves: String) -> Self {
        Self {
            game: engine.game(),
            engine: RefCell::new(Some(engine)),
            moves: RefCell::new(moves),
            statistics: RefCell::new(None),
        }
    }

    /// Reads.
    fn read<T>(&self, read: impl FnOnce(&dyn Engine) -> Result<T, Failure>) -> Result<T, Failure> {
        match &*self.engine.borrow() {
            Some(engine) => read(&**engine),
            None => Err(busy()),
        }
    }

    /// Changes, with the engine out of its cell, so that nothing is borrowed while a game is asked.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut dyn Engine) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut engine = self.engine.take().ok_or_else(busy)?;
        self.statistics.take();
        let changed = change(&mut *engine);
        self.engine.replace(Some(engine));
        changed
    }

    fn node_of(engine: &dyn Engine, id: Option<u32>) -> Result<NodeFacts, Failure> {
        let node = match id {
            None => Some(engine.root()),
            Some(number) => engine.numbered(number),
        };
        node.and_then(|id| engine.node(id)).ok_or_else(|| {
            Failure::new(Code::UnknownNode, "there is no such node, or it was forgotten")
        })
    }

    fn all_statistics(&self) -> Result<Rc<Statistics>, Failure> {
        if let Some(statistics) = &*self.statistics.borrow() {
            return Ok(Rc::clone(statistics));
        }
        let statistics = Rc::new(self.read(|engine| Ok(Statistics::of(engine)))?);
        self.statistics.replace(Some(Rc::clone(&statistics)));
        Ok(statistics)
    }

    /// Saves into the working set.
    pub(crate) fn save_to(&self, objects: &Objects) -> Result<Saved, Failure> {
        self.read(|engine| Ok(engine.save(objects)?))
    }

    pub(crate) fn statistics_hash(&self) -> Result<ContentHash, Failure> {
        Ok(ContentHash::from_bytes(*self.all_statistics()?.root().as_bytes()))
    }

    /// What a point of a history says of a search.
    pub(crate) fn summary(&self) -> Result<Summary, Failure> {
        let moves = self.moves.borrow().clone();
        self.read(|engine| {
            Ok(Summary {
                game: engine.game(),
                moves,
                states: u64::try_from(engine.len()).unwrap_or(u64::MAX),
                playouts: engine.counts().evaluations,
                bytes: engine.bytes(),
            })
        })
    }

    /// Loads a checkpoint whose objects are at hand.
    pub(crate) async fn load_from(
        shared: &Rc<Shared>,
        checkpoint: ContentHash,
        game: &GameChoice,
        moves: String,
    ) -> Result<Self, Failure> {
        shared.fetch_checkpoint(checkpoint).await?;
        let engine: Box<dyn Engine> = match game {
            GameChoice::BuiltIn(name @ GameName::Connect4) => {
                let rules = BuiltIn::<Connect4>::new(*name);
                let load = |objects: &Objects| {
                    Ok(CoreSearch::load::<BuiltIn<Connect4>>(objects, checkpoint)?)
                };
                Box::new(Seat { search: shared.read(load).await?, rules })
            }
            GameChoice::BuiltIn(name @ GameName::Othello) => {
                let rules = BuiltIn::<Othello>::new(*name);
                let load = |objects: &Objects| {
                    Ok(CoreSearch::load::<BuiltIn<Othello>>(objects, checkpoint)?)
                };
                Box::new(Seat { search: shared.read(load).await?, rules })
            }
            GameChoice::Custom(object) => {
                let rules = Custom::new(object)?;
                let load = |objects: &Objects| Ok(CoreSearch::load::<Custom>(objects, checkpoint)?);
                Box::new(Seat { search: shared.read(load).await?, rules })
            }
        };
        Ok(Self::of(engine, moves))
    }
}

/// What a point of a history says of a search.
pub(crate) struct Summary {
    pub(crate) game: Option<GameName>,
    pub(crate) moves: String,
    pub(crate) states: u64,
    pub(crate) playouts: u64,
    pub(crate) bytes: u64,
}

fn settings(options: &JsValue) -> Result<Settings, Failure> {
    let mut settings = match js::text_option(options, "kind")?.as_deref() {
        None | Some("playouts") => Settings::two_players(),
        Some("optimise") => Settings::optimisation(),
        Some(_) => return Err(Failure::argument("`kind` must be \"playouts\" or \"optimise\"")),
    };
    if let Some(exploration) = js::number_option(options, "exploration")? {
        settings.exploration = exploration;
    }
    settings.seed = js::whole_option(options, "seed")?.unwrap_or(0);
    settings.byte_limit = Some(js::whole_option(options, "byteLimit")?.unwrap_or(BYTE_LIMIT));
    Ok(settings)
}

#[wasm_bindgen]
impl Search {
    /// Begins at a position, which is evaluated.
    ///
    /// # Errors
    /// `argument`, `illegal-move`, `game`; what a game of JavaScript's throws.
    #[wasm_bindgen]
    pub fn begin(
        #[wasm_bindgen(unchecked_param_type = "GameName | Game")] game: &JsValue,
        #[wasm_bindgen(unchecked_optional_param_type = "SearchOptions")] options: Option<Object>,
    ) -> Result<Self, JsValue> {
        let options = options.map_or(JsValue::UNDEFINED, JsValue::from);
        let settings = settings(&options)?;
        let moves = js::text_option(&options, "moves")?.unwrap_or_default();
        let engine: Box<dyn Engine> = match GameChoice::read(game)? {
            GameChoice::BuiltIn(name @ GameName::Connect4) => Box::new(Seat::begin(
                settings,
                board::start::<Connect4>(&moves)?,
                BuiltIn::new(name),
            )?),
            GameChoice::BuiltIn(name @ GameName::Othello) => Box::new(Seat::begin(
                settings,
                board::start::<Othello>(&moves)?,
                BuiltIn::new(name),
            )?),
            GameChoice::Custom(object) => {
                if !moves.is_empty() {
                    return Err(Failure::argument("`moves` are of the built-in games").into());
                }
                let rules = Custom::new(&object)?;
                Box::new(Seat::begin(settings, rules.start()?, rules)?)
            }
        };
        Ok(Self::of(engine, moves))
    }

    /// Loads what `save` has saved; `game` is needed for a game written in JavaScript, and checked for another.
    ///
    /// # Errors
    /// `missing`, `damaged`, `unsupported`, `other-game`, `argument`.
    pub async fn load(
        db: &Database,
        #[wasm_bindgen(unchecked_param_type = "Hash")] checkpoint: String,
        #[wasm_bindgen(unchecked_param_type = "GameName | Game")] game: JsValue,
    ) -> Result<Self, JsValue> {
        let checkpoint = checkpoint.parse().map_err(Failure::from)?;
        let shared = db.shared();
        Ok(Self::load_from(&shared, checkpoint, &GameChoice::read(&game)?, String::new()).await?)
    }

    /// The game: a name, or `custom`.
    #[wasm_bindgen(getter, unchecked_return_type = "GameName | \"custom\"")]
    pub fn game(&self) -> String {
        self.game.map_or("custom", GameName::name).to_owned()
    }

    /// The moves from the start to the root.
    #[wasm_bindgen(getter)]
    pub fn moves(&self) -> String {
        self.moves.borrow().clone()
    }

    /// Searches until a limit is reached.
    ///
    /// # Errors
    /// `full`, `busy`, `game`; what a game of JavaScript's throws.
    #[wasm_bindgen(unchecked_return_type = "Batch")]
    pub fn run(
        &self,
        #[wasm_bindgen(unchecked_optional_param_type = "{ playouts?: number; millis?: number }")]
        budget: Option<Object>,
    ) -> Result<JsValue, JsValue> {
        let options = budget.map_or(JsValue::UNDEFINED, JsValue::from);
        let playouts = js::whole_option(&options, "playouts")?;
        let millis = js::number_option(&options, "millis")?;
        let millis = match (millis, playouts) {
            (Some(millis), _) => millis,
            (None, Some(_)) => f64::INFINITY,
            (None, None) => BATCH_MILLIS,
        };
        let begun = js::now();
        let budget = Budget { playouts: playouts.unwrap_or(u64::MAX), deadline: begun + millis };
        let (stopped, playouts) = self.change(|engine| {
            let before = engine.counts().evaluations;
            let stopped = engine.run(&budget)?;
            Ok((stopped, engine.counts().evaluations - before))
        })?;
        Ok(object! {
            "playouts": js::number(playouts),
            "millis": js::now() - begun,
            "stopped": match stopped {
                Stopped::Playouts => "playouts",
                Stopped::Time => "time",
                Stopped::Exhausted => "exhausted",
            },
        }
        .into())
    }

    /// One step, told in full. O(nodes).
    ///
    /// # Errors
    /// As `run`.
    #[wasm_bindgen(unchecked_return_type = "StepView")]
    pub fn step(&self) -> Result<JsValue, JsValue> {
        Ok(self.change(slow::step)?.into())
    }

    /// Plays a move, so that what it leads to is the root; what is known below it stays. O(nodes).
    ///
    /// # Errors
    /// `illegal-move`, and those of `run`.
    pub fn advance(
        &self,
        #[wasm_bindgen(unchecked_param_type = "string | number", js_name = "move")] play: &JsValue,
    ) -> Result<(), JsValue> {
        let text = play.as_string().or_else(|| play.as_f64().map(|number| number.to_string()));
        let text = text.ok_or_else(|| Failure::argument("a move is a string or a number"))?;
        let illegal = || {
            Failure::new(
                Code::IllegalMove,
                format_args!("\"{}\" cannot be played here", text.escape_debug()),
            )
        };
        let name = self.change(|engine| {
            let action = engine.action_of(text.trim()).ok_or_else(illegal)?;
            match engine.advance(action)? {
                true => Ok(engine.name_of(action)),
                false => Err(illegal()),
            }
        })?;
        // Passes go unwritten, as in `moves` of the options.
        if self.game.is_some() && name != "pass" {
            self.moves.borrow_mut().push_str(&name);
        }
        Ok(())
    }

    /// How much has been done.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(unchecked_return_type = "Counts")]
    pub fn counts(&self) -> Result<JsValue, JsValue> {
        let object = self.read(|engine| {
            let counts = engine.counts();
            Ok(object! {
                "playouts": js::number(counts.evaluations),
                "states": js::length(engine.len()),
                "logicalNodes": js::number(counts.evaluations + counts.transpositions),
                "transpositions": js::number(counts.transpositions),
                "closed": js::number(counts.closed),
                "forgotten": js::number(counts.forgotten),
                "bytes": js::number(engine.bytes()),
            })
        })?;
        Ok(object.into())
    }

    /// The root as a board of a built-in game.
    ///
    /// # Errors
    /// `argument`: the game is none; `busy`.
    #[wasm_bindgen(unchecked_return_type = "Board")]
    pub fn board(&self) -> Result<JsValue, JsValue> {
        let none = || Failure::argument("a game written in JavaScript has no board");
        Ok(self.read(|engine| engine.board().ok_or_else(none))?.into())
    }

    /// A node; without `id`, the root.
    ///
    /// # Errors
    /// `unknown-node`, `busy`.
    #[wasm_bindgen(unchecked_return_type = "NodeView")]
    pub fn node(&self, id: Option<u32>) -> Result<JsValue, JsValue> {
        Ok(self.read(|engine| Ok(view::node(&Self::node_of(engine, id)?)))?.into())
    }

    /// A node's edges in the game's order; none until it was first entered.
    ///
    /// # Errors
    /// `unknown-node`, `busy`.
    #[wasm_bindgen(unchecked_return_type = "EdgeView[]")]
    pub fn edges(&self, id: Option<u32>) -> Result<JsValue, JsValue> {
        Ok(self.read(|engine| Ok(view::edges(engine, &Self::node_of(engine, id)?)))?.into())
    }

    /// A node's moves, the best first, each with what is expected to follow: at most `length` moves, itself included.
    ///
    /// # Errors
    /// `unknown-node`, `busy`.
    #[wasm_bindgen(js_name = movesOf, unchecked_return_type = "MoveView[]")]
    pub fn moves_of(&self, id: Option<u32>, length: Option<u32>) -> Result<JsValue, JsValue> {
        let length = length.unwrap_or(LINE) as usize;
        Ok(self.read(|engine| Ok(view::moves(engine, &Self::node_of(engine, id)?, length)))?.into())
    }

    /// The line that the search recommends from a node on.
    ///
    /// # Errors
    /// `unknown-node`, `busy`.
    pub fn line(&self, id: Option<u32>, length: Option<u32>) -> Result<Vec<String>, JsValue> {
        let length = length.map_or(usize::MAX, |length| length as usize);
        Ok(self.read(|engine| Ok(view::line(engine, Self::node_of(engine, id)?.id, length)))?)
    }

    /// The node of a state, if it was met.
    ///
    /// # Errors
    /// `busy`.
    pub fn find(&self, state: &[u8]) -> Result<Option<u32>, JsValue> {
        Ok(self.read(|engine| Ok(engine.find(state).map(NodeId::number)))?)
    }

    /// The part of the graph that was visited most.
    ///
    /// # Errors
    /// `unknown-node`, `argument`, `busy`.
    #[wasm_bindgen(unchecked_return_type = "GraphView")]
    pub fn graph(
        &self,
        #[wasm_bindgen(
            unchecked_optional_param_type = "{ from?: number; maxNodes?: number; maxDepth?: number; minVisits?: number }"
        )]
        options: Option<Object>,
    ) -> Result<JsValue, JsValue> {
        let options = options.map_or(JsValue::UNDEFINED, JsValue::from);
        let extent = Extent {
            nodes: js::small_option(&options, "maxNodes")?.unwrap_or(200) as usize,
            depth: js::small_option(&options, "maxDepth")?.unwrap_or(12),
            visits: js::small_option(&options, "minVisits")?.unwrap_or(1),
        };
        let from = js::small_option(&options, "from")?;
        Ok(self
            .read(|engine| Ok(view::graph(engine, Self::node_of(engine, from)?.id, extent)))?
            .into())
    }

    /// Puts the search into the database's working set. O(bytes) hashing.
    ///
    /// # Errors
    /// `busy`, `closed`.
    #[wasm_bindgen(unchecked_return_type = "SavedSearch")]
    pub fn save(&self, db: &Database) -> Result<JsValue, JsValue> {
        let shared = db.shared();
        let saved = self.save_to(shared.objects())?;
        shared.write_behind();
        Ok(object! {
            "checkpoint": saved.checkpoint.to_string(),
            "objects": js::number(saved.objects),
            "newObjects": js::number(saved.new_objects),
            "newBytes": js::number(saved.new_bytes),
        }
        .into())
    }

    /// The root of the state that maps each position to its statistics. O(nodes) hashes, once until the search changes.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(js_name = statisticsRoot, unchecked_return_type = "Hash")]
    pub fn statistics_root(&self) -> Result<String, JsValue> {
        Ok(self.all_statistics()?.root().to_string())
    }

    /// A proof of what is known of a position under `statisticsRoot`: its statistics, or that it was never met.
    ///
    /// # Errors
    /// `busy`.
    #[wasm_bindgen(unchecked_return_type = "{ proof: Uint8Array; root: Hash; present: boolean }")]
    pub fn prove(&self, state: &[u8]) -> Result<JsValue, JsValue> {
        let statistics = self.all_statistics()?;
        let node = self.read(|engine| Ok(engine.find(state).and_then(|id| engine.node(id))))?;
        Ok(statistics.prove(state, node.as_ref())?.into())
    }
}
