namespace Flamingo.Configuration.Certificates;

/// <summary>
/// A value that is made of PEM files, and is made anew when their content has changed. The files are looked at when the value is asked for,
/// at most once in <see cref="Period"/>. Their content is compared and not their times, because Kubernetes and other tools replace whole
/// folders by symbolic links. Files that cannot be used leave the value as it was, so that a change which is half done harms nobody.
/// </summary>
/// <typeparam name="T">The value. An earlier value may still be in use, so it is not disposed.</typeparam>
public sealed class FollowedFiles<T>
    where T : class
{
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(1);

    private readonly IReadOnlyList<PemFile> _files;
    private readonly Func<IReadOnlyList<string>, T> _make;
    private readonly TimeProvider _time;
    private readonly Action<T> _changed;
    private readonly Action<string> _damaged;
    private readonly Lock _looking = new();
    private string[] _texts;
    private volatile T _value;
    private string? _problem;
    private long _looked;

    /// <param name="files">The files, at least one.</param>
    /// <param name="make">Makes the value of the files' texts, in their order. It throws <see cref="InvalidDataException"/>.</param>
    /// <param name="changed">Called with each new value, but not with the first.</param>
    /// <param name="damaged">Called with the problem when changed files cannot be used, once for each problem.</param>
    /// <exception cref="InvalidDataException">The files cannot be used now.</exception>
    public FollowedFiles(
        IReadOnlyList<PemFile> files, Func<IReadOnlyList<string>, T> make, TimeProvider time, Action<T> changed, Action<string> damaged)
    {
        (_files, _make, _time, _changed, _damaged, _looked) = (files, make, time, changed, damaged, time.GetTimestamp());
        _texts = [.. files.Select(file => file.Read())];
        _value = make(_texts);
    }

    /// <summary>The value as the files have it, or had it when they could be used last. While one caller looks, others do not wait.</summary>
    public T Value
    {
        get
        {
            if (IsDue() && _looking.TryEnter())
            {
                try
                {
                    if (IsDue()) Look();
                }
                finally
                {
                    _looking.Exit();
                }
            }

            return _value;
        }
    }

    private bool IsDue() => _time.GetElapsedTime(Volatile.Read(ref _looked)) >= Period;

    private void Look()
    {
        try
        {
            string[] texts = [.. _files.Select(file => file.Read())];
            if (_problem is null && texts.SequenceEqual(_texts)) return;
            var value = _make(texts);
            var isNew = !texts.SequenceEqual(_texts);
            (_texts, _value, _problem) = (texts, value, null);
            if (isNew) _changed(value);
        }
        catch (InvalidDataException exception)
        {
            if (exception.Message != _problem) _damaged(exception.Message);
            _problem = exception.Message;
        }
        finally
        {
            Volatile.Write(ref _looked, _time.GetTimestamp());
        }
    }
}
