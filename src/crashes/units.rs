//! The units of systemd, for the fields of a line in the journal.

/// What systemd calls the parts of a control group (systemd.slice(5)): the unit, which journalctl(1) asks for
/// with `--unit`, the slice around it, and a unit of a user's own manager below that.
pub(super) fn fields(cgroup: &str) -> Vec<(&'static str, String)> {
    let mut known = vec![("COREDUMP_CGROUP", cgroup.to_owned())];
    let names = [("COREDUMP_SLICE", "COREDUMP_UNIT"), ("COREDUMP_USER_SLICE", "COREDUMP_USER_UNIT")];
    let mut parts = cgroup.split('/').filter(|part| !part.is_empty()).peekable();
    for (slice_field, unit_field) in names {
        let mut slice = None;
        while let Some(next) = parts.next_if(|part| part.ends_with(".slice")) {
            slice = Some(next);
        }
        let user =
            slice.and_then(|slice| slice.strip_prefix("user-")?.strip_suffix(".slice")?.parse::<u32>().ok());
        let Some(unit) = parts.next().filter(|part| part.ends_with(".service") || part.ends_with(".scope"))
        else {
            break;
        };
        known.extend(user.map(|user| ("COREDUMP_OWNER_UID", user.to_string())));
        known.extend(slice.map(|slice| (slice_field, slice.to_owned())));
        known.push((unit_field, unit.to_owned()));
        if !unit.starts_with("user@") {
            break;
        }
    }
    known
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_control_group_tells_the_unit() {
        let of = |cgroup| {
            let fields = super::fields(cgroup).into_iter().skip(1);
            fields.map(|(name, value)| format!("{}={value}", &name[9..])).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("/system.slice/nginx.service"), "SLICE=system.slice UNIT=nginx.service");
        assert_eq!(
            of("/system.slice/system-db.slice/db@1.service/inner"),
            "SLICE=system-db.slice UNIT=db@1.service"
        );
        assert_eq!(
            of("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service"),
            "OWNER_UID=1000 SLICE=user-1000.slice UNIT=user@1000.service USER_SLICE=app.slice USER_UNIT=x.service"
        );
        assert_eq!(
            of("/user.slice/user-7.slice/session-2.scope"),
            "OWNER_UID=7 SLICE=user-7.slice UNIT=session-2.scope"
        );
        for other in ["/", "", "/docker/0123", "//..//", "/a.slice", "/user.slice/user-99999999999.slice"] {
            assert_eq!(of(other), "", "{other}");
        }
    }
}
