# Completion of mreg for fish. Made by `mreg completion fish`.
function __mreg_complete
    set -l typed (commandline -opc)
    set -l current (commandline -ct)
    set -l found (_MREG_COMPLETE=fish $typed[1] $typed[2..-1] "$current" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        # The default completion: files.
        complete --do-complete "__mreg_files $current"
    end
end
complete --command mreg --no-files --arguments "(__mreg_complete)"
