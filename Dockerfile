# One image per service: docker build --target gateway | vision-encoder | resampler | language-model .
# For GPUs there is one image with all three stages: docker build --target gpu . (docker-compose.gpu.yml runs them)
# The build downloads only the base images and NuGet packages.

# The PyTorch installation whose libtorch and CUDA the target gpu uses; its version must be one that this build is proven with.
ARG PyTorchImage=pytorch/pytorch:2.10.0-cuda12.8-cudnn9-runtime

# This layer holds only the project files, so that the restore below is cached until a project file changes.
FROM mcr.microsoft.com/dotnet/sdk:10.0 AS projects
WORKDIR /src
COPY . .
RUN find . -type f ! -name '*.csproj' ! -name 'Directory.*' ! -name 'global.json' ! -name '*.targets' -delete && find . -type d -empty -delete

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /src
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 NUGET_XMLDOC_MODE=skip
ARG TorchBackend=cpu
ARG ImageDecoder=skia
COPY --from=projects /src .
RUN --mount=type=cache,id=flamingo-nuget,target=/root/.nuget/packages \
    for host in services/*/Host/*.csproj; do dotnet restore "$host" || exit 1; done
COPY . .
# Restore runs again, usually without work, because the cache mount may have been emptied since the layer above was built.
RUN --mount=type=cache,id=flamingo-nuget,target=/root/.nuget/packages \
    for host in services/*/Host/*.csproj; do dotnet publish "$host" -c Release -p:UseAppHost=false || exit 1; done \
 && mv artifacts/publish/Flamingo.Gateway.Host/release /gateway \
 && mv artifacts/publish/Flamingo.VisionEncoder.Host/release /vision-encoder \
 && mv artifacts/publish/Flamingo.Resampler.Host/release /resampler \
 && mv artifacts/publish/Flamingo.LanguageModel.Host/release /language-model \
 # libtorch is nine tenths of a stage's files and the same in all three stages, so they share one layer. It brings its own OpenMP
 # (libgomp-….so.1, which the base image lacks); libstdc++ is in the base image.
 && mkdir /libtorch \
 && for library in /resampler/libtorch*.so /resampler/libc10*.so /resampler/libgomp*.so* /resampler/libLibTorchSharp.so; do \
      name=$(basename "$library") \
      && cmp "$library" "/vision-encoder/$name" && cmp "$library" "/language-model/$name" \
      && mv "$library" /libtorch/ && rm "/vision-encoder/$name" "/language-model/$name" || exit 1; \
    done

# The stages without their own libtorch.
FROM build AS build-gpu
RUN --mount=type=cache,id=flamingo-nuget,target=/root/.nuget/packages \
    for stage in VisionEncoder Resampler LanguageModel; do \
      dotnet publish "services/$stage/Host" -c Release \
        -p:UseAppHost=false -p:TorchBackend=pytorch -p:ArtifactsPath=/gpu-artifacts || exit 1; \
    done \
 && mkdir /gpu \
 && mv /gpu-artifacts/publish/Flamingo.VisionEncoder.Host/release /gpu/vision-encoder \
 && mv /gpu-artifacts/publish/Flamingo.Resampler.Host/release /gpu/resampler \
 && mv /gpu-artifacts/publish/Flamingo.LanguageModel.Host/release /gpu/language-model

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS aspnet
# finds torch wherever the image installs it
RUN cp -a "$(dirname "$(readlink -f "$(command -v dotnet)")")" /dotnet

# All three stages with the libtorch of a PyTorch image. The container's working directory and command select the stage.
FROM ${PyTorchImage} AS gpu
USER root
# .NET needs ICU for the tokenizers' Unicode normal forms
RUN ldconfig -p | grep -q libicuuc \
 || { apt-get update && apt-get install -y --no-install-recommends libicu-dev && rm -rf /var/lib/apt/lists/*; }
RUN ln -s "$(python3 -c 'import torch; print(torch.__path__[0])')" /pytorch
COPY --from=aspnet /dotnet /usr/share/dotnet
RUN ln -sf /usr/share/dotnet/dotnet /usr/local/bin/dotnet
COPY --from=build-gpu /gpu /app
COPY models/shapes /model
ENV Model__Directory=/model Model__TorchLibraries=/pytorch Model__Device=cuda Endpoints__GrpcPort=8080 \
    ASPNETCORE_HTTP_PORTS= DOTNET_EnableDiagnostics=0 DOTNET_NOLOGO=1
EXPOSE 8080
USER 1654
WORKDIR /app/language-model
ENTRYPOINT ["dotnet"]
CMD ["Flamingo.LanguageModel.Host.dll"]

FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS service
WORKDIR /app
# 8080 is gRPC (HTTP/2 without TLS), set by Endpoints:GrpcPort and not by the image's HTTP/1.1 default. Compose gives the gateway an HTTP
# port too (Endpoints:HttpPort), and every service a management port (Endpoints:ManagementPort, 9464), which nobody should publish.
ENV ASPNETCORE_HTTP_PORTS= Endpoints__GrpcPort=8080 DOTNET_EnableDiagnostics=0
EXPOSE 8080
USER $APP_UID
# The health checks below have no --start-interval, because Docker engines before version 25 reject it.

FROM service AS gateway
COPY --from=build /gateway .
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["dotnet", "Flamingo.Gateway.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.Gateway.Host.dll"]

FROM service AS stage
COPY --from=build /libtorch .
COPY models/shapes /model
ENV Model__Directory=/model

FROM stage AS vision-encoder
COPY --from=build /vision-encoder .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.VisionEncoder.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.VisionEncoder.Host.dll"]

FROM stage AS resampler
COPY --from=build /resampler .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.Resampler.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.Resampler.Host.dll"]

FROM stage AS language-model
COPY --from=build /language-model .
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=3 CMD ["dotnet", "Flamingo.LanguageModel.Host.dll", "--health"]
ENTRYPOINT ["dotnet", "Flamingo.LanguageModel.Host.dll"]
