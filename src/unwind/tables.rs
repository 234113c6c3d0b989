//! Unwind rows of all modules, found once per pc.
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use threaddump_arch::Arch;
use threaddump_dwarf::{
    CfiError, Context, DebugCfi, EhCfi, ExpressionRef, FdeIndex, FileAddress, LoadBias, Row, Section,
    exidx_row,
};

use crate::images::{Image, Images, Slice};
use crate::snapshot::Snapshot;

type Cached = Result<Option<Rc<Row>>, CfiError>;

/// Bytes of unwind information that may be evaluated for one module, and for all together; a row
/// counts as this many at least, since it is kept. A thousand rows of a real program take some
/// 100 kB.
const MODULE_WORK: u64 = 1 << 25;
const ALL_WORK: u64 = 1 << 27;
const ROW_WORK: u64 = 512;

/// Rows of all modules of a snapshot, and what is needed to find them.
pub(super) struct Tables<'i, 's> {
    images: &'i Images<'s>,
    /// By ascending start address of the image.
    modules: Vec<ModuleTables<'i, 's>>,
    /// By lookup address: a thousand threads asleep in one place need one row.
    rows: HashMap<u64, Cached>,
    context: Context,
    /// Executable mappings, merged where they touch: start, end.
    executable: Vec<(u64, u64)>,
}

/// Unwind information of one module, opened when it is first needed.
struct ModuleTables<'i, 's> {
    image: &'i Image<'s>,
    arch: Arch,
    bias: LoadBias,
    eh: OnceCell<Option<EhCfi<Slice<'s>>>>,
    eh_index: OnceCell<FdeIndex>,
    debug: OnceCell<Option<(DebugCfi<Slice<'s>>, FdeIndex)>>,
    work: Cell<u64>,
}

impl<'i, 's> Tables<'i, 's> {
    pub(super) fn new(snapshot: &Snapshot, images: &'i Images<'s>) -> Tables<'i, 's> {
        let arch = snapshot.process.arch;
        let mut modules: Vec<_> = images.iter().filter_map(|image| ModuleTables::new(image, arch)).collect();
        modules.sort_by_key(|module| module.image.start());
        let mut executable: Vec<(u64, u64)> = Vec::new();
        for mapping in snapshot.mappings.iter().filter(|mapping| mapping.permissions.execute) {
            match executable.last_mut() {
                Some((_, end)) if *end == mapping.start => *end = mapping.end,
                _ => executable.push((mapping.start, mapping.end)),
            }
        }
        Tables { images, modules, rows: HashMap::new(), context: Context::new(), executable }
    }

    pub(super) fn is_executable(&self, address: u64) -> bool {
        let after = self.executable.partition_point(|(start, _)| *start <= address);
        self.executable[..after].last().is_some_and(|(_, end)| address < *end)
    }

    /// Whether the address belongs to an ELF object that was loaded.
    pub(super) fn is_module(&self, address: u64) -> bool {
        self.images.at(address).is_some_and(|image| !image.is_generated())
    }

    /// Code bytes of a module, from its file.
    pub(super) fn code(&self, address: u64, length: usize) -> &'s [u8] {
        self.images.at(address).map(|image| image.code(address, length)).unwrap_or_default()
    }

    pub(super) fn row(&mut self, lookup: u64) -> Cached {
        match self.rows.entry(lookup) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => {
                let module = find(&self.modules, lookup);
                let found = match module {
                    Some(module) => module.limited_row(&mut self.context, lookup).map(|row| row.map(Rc::new)),
                    None => Ok(None),
                };
                unknown.insert(found).clone()
            }
        }
    }

    pub(super) fn expression(&self, lookup: u64, place: ExpressionRef) -> Option<Slice<'s>> {
        let module = find(&self.modules, lookup)?;
        match place.section {
            Section::Eh => place.get(module.eh()?.reader()),
            Section::Debug => place.get(module.debug()?.0.reader()),
        }
    }
}

fn find<'m, 'i, 's>(modules: &'m [ModuleTables<'i, 's>], address: u64) -> Option<&'m ModuleTables<'i, 's>> {
    let after = modules.partition_point(|module| module.image.start() <= address);
    modules[..after].last().filter(|module| address < module.image.end())
}

impl<'i, 's> ModuleTables<'i, 's> {
    fn new(image: &'i Image<'s>, arch: Arch) -> Option<ModuleTables<'i, 's>> {
        let bias = LoadBias(image.bias()?);
        let (eh, eh_index, debug, work) = Default::default();
        Some(ModuleTables { image, arch, bias, eh, eh_index, debug, work })
    }

    fn eh(&self) -> Option<&EhCfi<Slice<'s>>> {
        let open = || self.image.eh_sections().map(|sections| EhCfi::new(self.arch, sections));
        self.eh.get_or_init(open).as_ref()
    }

    fn debug(&self) -> Option<&(DebugCfi<Slice<'s>>, FdeIndex)> {
        let open = || {
            let cfi = DebugCfi::new(self.arch, self.image.debug_frame()?);
            let index = FdeIndex::of_debug_frame(&cfi);
            Some((cfi, index))
        };
        self.debug.get_or_init(open).as_ref()
    }

    fn limited_row(&self, context: &mut Context, lookup: u64) -> Result<Option<Row>, CfiError> {
        let before = context.work();
        if self.work.get() >= MODULE_WORK || before >= ALL_WORK {
            return Err(CfiError::Work);
        }
        let row = self.row(context, lookup);
        self.work.set(self.work.get() + (context.work() - before).max(ROW_WORK));
        row
    }

    /// By the search table, unless there is none or it is wrong.
    fn eh_row(&self, context: &mut Context, address: FileAddress) -> Result<Option<Row>, CfiError> {
        let Some(eh) = self.eh() else { return Ok(None) };
        if !eh.wants_index() {
            let row = eh.row(context, address, None);
            if matches!(row, Ok(Some(_))) || !eh.table_misleads(address) {
                return row;
            }
        }
        let index = self.eh_index.get_or_init(|| FdeIndex::of_eh_frame(eh));
        index.entry(address).map_or(Ok(None), |entry| eh.row(context, address, Some(entry)))
    }

    /// `.eh_frame` first, as it is what the program itself would use; then `.debug_frame`.
    fn row(&self, context: &mut Context, lookup: u64) -> Result<Option<Row>, CfiError> {
        let address = self.bias.to_file(lookup);
        let damage = match self.eh_row(context, address) {
            Ok(Some(row)) => return Ok(Some(row)),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if let Some((debug, index)) = self.debug()
            && let Some(entry) = index.entry(address)
            && let Some(row) = debug.row(context, address, Some(entry))?
        {
            return Ok(Some(row));
        }
        let by_arm_table = || {
            let (table, start) = self.image.arm_exidx()?;
            exidx_row(table, start, address, |place| self.image.at_file_address(place))
        };
        match damage {
            Some(error) => Err(error),
            None => Ok(by_arm_table()),
        }
    }
}
