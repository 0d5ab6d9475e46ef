//! Packages of the system, their configuration, and their service. A service is told of a change
//! once, at the end, after a check of the new configuration.

mod config;

use cerebro_recipe::error::Doing;
use cerebro_recipe::host::files::Owner;
use cerebro_recipe::host::notify::Action;
use cerebro_recipe::host::packages::{Spec, State};
use cerebro_recipe::host::services;
use cerebro_recipe::host::types::Change;
use cerebro_recipe::template::{self, Values};
use cerebro_recipe::{Directory, File, Host, Recipe};
use config::{OnChange, Options};

struct Package;

cerebro_recipe::recipe!(Package);
cerebro_recipe::wants!("../wants.json");

impl Recipe for Package {
    type Options = Options;

    fn deploy(host: &impl Host, options: Options) -> Result<(), String> {
        let values = values(host, &options);
        ensure(host, &options.packages())?;
        for (path, access) in &options.directories {
            let path = template::render(path, &values)?;
            let mode = config::mode(access.mode.as_deref()).map_err(at(&path))?;
            let owner = owner(&access.user, &access.group);
            Directory::new(path).mode_as(mode).owner_as(owner).make(host)?;
        }
        for (path, wanted) in &options.files {
            let path = template::render(path, &values)?;
            let mode = config::mode(wanted.mode.as_deref()).map_err(at(&path))?;
            let file = File::new(&path).mode_as(mode).owner_as(owner(&wanted.user, &wanted.group));
            let change = file.edit(host, |old| wanted.wanted(&path, old, &values))?;
            if change != Change::Unchanged {
                // At once: should the rest fail, it is still done after the next deployment.
                tell(host, &options)?;
            }
        }
        if let Some(service) = &options.service {
            serve(host, &service.name, service.running)?;
        }
        Ok(())
    }

    fn undeploy(host: &impl Host, options: Options) -> Result<(), String> {
        let values = values(host, &options);
        for (path, wanted) in &options.files {
            let path = template::render(path, &values)?;
            if wanted.content.is_some() {
                host.remove(&path)?;
            } else if wanted.block.is_some() && host.stat(&path)?.is_some() {
                File::new(&path).edit(host, |old| wanted.block(old, &values, None))?;
            } else {
                host.say(&format!("`{path}` stays as it is: it is not this job's alone"));
                continue;
            }
        }
        if !options.remove {
            host.say("the packages stay; `remove` would remove them");
            return match options.service.as_ref().map(|service| host.service(&service.name)) {
                Some(Ok(Some(status))) if status.running => tell(host, &options),
                Some(Err(error)) => Err(error.into()),
                _ => Ok(()),
            };
        }
        if let Some(service) = &options.service
            && host.service(&service.name)?.is_some()
        {
            serve(host, &service.name, false)?;
        }
        let gone = |name: &String| Spec { name: name.clone(), state: State::Absent, hold: None };
        let gone: Vec<Spec> = options.brought().map(gone).collect();
        ensure(host, &gone)
    }
}

fn ensure(host: &impl Host, packages: &[Spec]) -> Result<(), String> {
    if !packages.is_empty() {
        host.ensure_packages(packages).doing(|| "look after the packages".to_owned())?;
    }
    Ok(())
}

fn values(host: &impl Host, options: &Options) -> Values {
    let mut values = host.values();
    values.extend(options.variables.clone());
    values
}

fn owner(user: &Option<String>, group: &Option<String>) -> Option<Owner> {
    user.clone().map(|user| Owner { user, group: group.clone() })
}

fn at(path: &str) -> impl Fn(String) -> String {
    move |why| format!("`{path}`: {why}")
}

/// Has the service see its new configuration at the end, if that has no mistake.
fn tell(host: &impl Host, options: &Options) -> Result<(), String> {
    if let Some(check) = &options.check {
        host.at_end(&Action::Run(check.clone()))?;
    }
    if let Some(service) = options.service.as_ref().filter(|service| service.running) {
        let name = service.name.clone();
        host.at_end(&match service.on_change {
            OnChange::Restart => Action::RestartService(name),
            OnChange::Reload => Action::ReloadService(name),
        })?;
    }
    Ok(())
}

fn serve(host: &impl Host, name: &str, running: bool) -> Result<(), String> {
    let spec =
        services::Spec { name: name.to_owned(), running: Some(running), enabled: Some(running) };
    host.ensure_service(&spec).doing(|| format!("look after the service `{name}`"))?;
    Ok(())
}

#[cfg(test)]
mod tests;
