//! Changes at run time: one backend of one pool, held to the same rules as a file.

use super::check;
use super::draft::Draft;
use super::model::{Backend, Config, Name, Pool};
use super::problem::Problem;
use super::words::nearest;

impl Config {
    /// The configuration with one more backend in a pool.
    pub fn with_backend(&self, pool: &Name, name: Name, backend: Backend) -> Result<Self, Problem> {
        self.edited(pool, |found| {
            if found.backends.contains_key(&name) {
                return Err(Problem::DuplicateName { pool: pool.clone(), name });
            }
            found.backends.insert(name, backend);
            Ok(())
        })
    }

    /// The configuration with another weight for one backend.
    pub fn with_weight(&self, pool: &Name, backend: &Name, weight: u16) -> Result<Self, Problem> {
        self.edited(pool, |found| match found.backends.get_mut(backend) {
            Some(found) => {
                found.weight = weight;
                Ok(())
            }
            None => Err(no_backend(pool, found, backend)),
        })
    }

    /// The configuration with one backend less.
    pub fn without_backend(&self, pool: &Name, backend: &Name) -> Result<Self, Problem> {
        self.edited(pool, |found| match found.backends.remove(backend) {
            Some(_) => Ok(()),
            None => Err(no_backend(pool, found, backend)),
        })
    }

    /// What is questionable about the configuration, however it came about.
    pub fn warnings(&self) -> Vec<Problem> {
        check::warnings(&Draft::from(self)).into_iter().map(|finding| finding.problem).collect()
    }

    fn edited(
        &self,
        pool: &Name,
        edit: impl FnOnce(&mut Pool) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        let mut edited = self.clone();
        let Some(found) = edited.pools.get_mut(pool) else {
            let nearest = nearest(pool.as_str(), self.pools.keys().map(Name::as_str));
            return Err(Problem::NoPool { pool: pool.clone(), nearest });
        };
        edit(found)?;
        match check::check(&Draft::from(&edited)).into_iter().next() {
            Some(finding) => Err(finding.problem),
            None => Ok(edited),
        }
    }
}

fn no_backend(pool: &Name, found: &Pool, backend: &Name) -> Problem {
    let nearest = nearest(backend.as_str(), found.backends.keys().map(Name::as_str));
    Problem::NoBackend { pool: pool.clone(), backend: backend.clone(), nearest }
}
