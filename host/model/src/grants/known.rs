//! Programs, trees and groups that are known to have power over a machine.

/// What reads a program from its arguments or its input.
pub(super) const INTERPRETERS: &[&str] = &[
    "ash", "awk", "bash", "bun", "busybox", "csh", "dash", "deno", "erl", "expect", "fish", "gawk",
    "gdb", "guile", "irb", "java", "ksh", "lua", "luajit", "mawk", "mksh", "nawk", "node",
    "nodejs", "perl", "php", "psql", "pwsh", "pypy", "python", "Rscript", "rbash", "ruby", "sh",
    "tclsh", "tcsh", "toybox", "wish", "zsh",
];

/// What starts another program, or changes who does.
pub(super) const LAUNCHERS: &[&str] = &[
    "at",
    "batch",
    "bwrap",
    "capsh",
    "chroot",
    "chrt",
    "crictl",
    "crontab",
    "ctr",
    "dbus-send",
    "docker",
    "doas",
    "ed",
    "emacs",
    "env",
    "find",
    "firejail",
    "flock",
    "git",
    "incus",
    "ionice",
    "kubectl",
    "ld-linux.so",
    "ld.so",
    "lxc",
    "machinectl",
    "make",
    "nano",
    "nerdctl",
    "nice",
    "nohup",
    "nsenter",
    "parallel",
    "pkexec",
    "podman",
    "prlimit",
    "run-parts",
    "runcon",
    "runuser",
    "screen",
    "script",
    "setarch",
    "setpriv",
    "setsid",
    "socat",
    "ssh",
    "start-stop-daemon",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemctl",
    "systemd-run",
    "taskset",
    "time",
    "timeout",
    "tmux",
    "unshare",
    "vi",
    "view",
    "vim",
    "watch",
    "xargs",
];

/// What runs the scripts of what it installs, as root.
pub(super) const PACKAGE_MANAGERS: &[&str] = &[
    "apk", "apt", "apt-get", "aptitude", "cargo", "dnf", "dpkg", "flatpak", "gem", "microdnf",
    "npm", "npx", "pacman", "pip", "pipx", "pnpm", "rpm", "snap", "tdnf", "yarn", "yum", "zypper",
];

/// What writes whatever file it is told.
pub(super) const WRITERS: &[&str] = &[
    "chattr", "chgrp", "chmod", "chown", "cp", "cpio", "curl", "dd", "debugfs", "insmod",
    "install", "ln", "mknod", "modprobe", "mount", "mv", "rsync", "scp", "sed", "setcap",
    "setfacl", "sort", "tar", "tee", "truncate", "unzip", "wget",
];

/// Directories of the PATH, which every program that looks there believes.
pub(super) const PATHS: &[&str] =
    &["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/bin"];

/// Trees that are the machine itself; one below them may be harmless.
pub(super) const SYSTEM: &[&str] = &[
    "/",
    "/etc",
    "/usr",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local",
    "/usr/local/lib",
    "/usr/share",
    "/lib",
    "/lib64",
    "/home",
    "/var",
    "/var/lib",
    "/var/spool",
    "/run",
];

/// Trees of which no part is harmless: what is written there is done by root, or by the kernel.
pub(super) const POWERFUL: &[&str] = &[
    "/boot",
    "/dev",
    "/proc",
    "/sys",
    "/root",
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/crontab",
    "/etc/systemd",
    "/etc/init.d",
    "/etc/rc.local",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/pam.d",
    "/etc/ssh",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/udev",
    "/etc/apt",
    "/etc/yum.repos.d",
    "/etc/dpkg",
    "/etc/logrotate.d",
    "/etc/modprobe.d",
    "/etc/polkit-1",
    "/etc/security",
    "/etc/environment",
    "/lib/systemd",
    "/usr/lib/systemd",
    "/run/systemd",
    "/var/spool/cron",
    "/var/run",
];

/// Groups whose members rule the machine.
pub(super) const POWERFUL_GROUPS: &[&str] = &[
    "root", "sudo", "wheel", "docker", "lxd", "incus", "libvirt", "disk", "shadow", "kmem", "adm",
];
