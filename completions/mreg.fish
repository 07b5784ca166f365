# Completion of mreg for fish. Made by `mreg completion fish`.
function __mreg_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    _MREG_COMPLETE=fish $typed[1] $typed[2..-1] "$current" 2>/dev/null
end
complete --command mreg --no-files --arguments "(__mreg_complete)"
complete --command mreg --force-files --condition "__fish_seen_subcommand_from push pull"
